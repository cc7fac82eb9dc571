// Package publish broadcasts a media file to a WHIP endpoint, as siaran publish and serve --demo do.
package publish
