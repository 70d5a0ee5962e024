// Package certs makes certificates for a registry and loads those it serves.
package certs
