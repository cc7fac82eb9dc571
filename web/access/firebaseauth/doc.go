// Package firebaseauth lets in people who have signed in with Firebase Authentication. It verifies their ID tokens with
// the Admin SDK, and asks Google whether the account has been disabled or signed out since.
//
// Nothing is asked on the network about text that cannot be a token of the project: first the algorithm, issuer,
// audience and times are checked, then the signature, for which the SDK caches Google's public keys. Google's answers
// are remembered for a short time, so that a page that sends many requests costs one look-up.
package firebaseauth
