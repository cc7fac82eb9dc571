// Package media tests the way of media through a whole server: broadcasters and viewers are real clients.
package media
