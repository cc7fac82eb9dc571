// Package chromium drives a real browser in tests of the pages.
package chromium
