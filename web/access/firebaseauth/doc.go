// Package firebaseauth lets people in who have signed in with Firebase Authentication: it verifies
// their ID tokens with the Admin SDK and asks Google whether the account has been disabled or signed out since.
//
// Nothing is asked on the network for what cannot be a token of the project: kind of signature, issuer,
// audience and times are looked at first, then the signature, for which the SDK keeps Google's public keys. What has been
// asked is remembered for a short time, so that a page that sends many requests costs one look-up.
package firebaseauth
