// Package limits asks the real server for more than is good for it: thousands of
// connections, clients that are slow or stand still, many large pushes at once.
package limits
