// Package cluster tests servers that pull streams from one another.
package cluster
