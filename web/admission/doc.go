// Package admission asks the operator's site whether somebody may publish or watch (--auth-webhook): docs/auth.md is
// for those who write the site's side.
//
// Equal questions are asked once, and their answers are good for some seconds. Few questions are under way at a time,
// so that many clients cannot turn into a flood on the site. An answer that is none (no connection, a time-out, a
// status of 500, JSON that cannot be read) is ErrNoAnswer, and the caller decides.
package admission
