package siaran

import "errors"

// Errors a caller may test for with errors.Is. Their texts are fit to be shown to a client.
var (
	ErrStreamName      = errors.New("a stream name is 1 to 64 of a-z, 0-9, '-' and '_', and starts with a letter or digit")
	ErrUnknownStream   = errors.New("there is no such stream")
	ErrUnknownNode     = errors.New("there is no such server, or it has not been heard of lately")
	ErrUnknownSession  = errors.New("there is no such session, or it has ended")
	ErrNotLive         = errors.New("the stream is not live")
	ErrStreamTaken     = errors.New("the stream is live already, published with another credential")
	ErrNotOwner        = errors.New("the stream belongs to another account")
	ErrTakenOver       = errors.New("the same broadcaster has published again")
	ErrEnded           = errors.New("the broadcast has ended")
	ErrMalformedOffer  = errors.New("malformed offer")           // HTTP 400
	ErrUnacceptable    = errors.New("the offer cannot be taken") // HTTP 422
	ErrTooManySessions = errors.New("the server has as many sessions as it can take")
	ErrClosed          = errors.New("the server is shutting down")
)
