// Command bench measures Moorgate beside other registries, on this machine and in
// one run: "make bench". README.md says what is measured, and how to read it.
package main
