// Package browser tests the pages of a whole server in Chromium.
package browser
