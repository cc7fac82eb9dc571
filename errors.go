package siaran

import "errors"

// Errors that a caller may test for with errors.Is. Their texts may be shown to clients.
var (
	ErrStreamName      = errors.New("a stream name is 1 to 64 of a-z, 0-9, '-' and '_', and starts with a letter or digit")
	ErrUnknownStream   = errors.New("there is no such stream")
	ErrUnknownNode     = errors.New("there is no such server, or nothing has been heard from it lately")
	ErrUnknownSession  = errors.New("there is no such session, or it has ended")
	ErrTagChanged      = errors.New("the ICE session is not the session's newest: it has been restarted")
	ErrNotLive         = errors.New("the stream is not live")
	ErrReturning       = errors.New("the stream goes on as soon as its broadcaster is back: try again in a moment")
	ErrDraining        = errors.New("the server is being emptied: use another one, or try again in a while")
	ErrStreamLive      = errors.New("the stream is live: end its broadcast first")
	ErrStreamTaken     = errors.New("the stream is already live, published with another credential")
	ErrContested       = errors.New("another broadcaster with this credential is taking over the stream; stop one of them")
	ErrNotOwner        = errors.New("the stream belongs to another account")
	ErrTooManyNames    = errors.New("the account has as many stream names as it may have: use one of those")
	ErrTakenOver       = errors.New("the same broadcaster has published again")
	ErrEnded           = errors.New("the broadcast has ended")
	ErrMalformedOffer  = errors.New("malformed offer")              // HTTP 400
	ErrUnacceptable    = errors.New("the offer cannot be accepted") // HTTP 422
	ErrTooManySessions = errors.New("the server has as many sessions as it can serve")
	ErrStreamFull      = errors.New("the stream has as many viewers as it may have")
	ErrBanned          = errors.New("the broadcaster has sent you away for the rest of this broadcast")
	ErrTooManyBans     = errors.New("this broadcast has as many bans as it may have: make the stream private, and " +
		"renew its keys")
	ErrUnidentified = errors.New("nothing identifies this viewer: it has no token, and its address is not known")
	ErrShare        = errors.New("your address or network has as many sessions as it may have; end some of them first")
	ErrClosed       = errors.New("the server is shutting down")

	// Of streams that come from another server, the parent.
	ErrParent = errors.New("the server that has the stream does not answer; try again in a moment")
	ErrAbove  = errors.New("this server has the stream from its parent: make the request there")
	ErrWay    = errors.New("the header Siaran-Path is not a short list of server names")
	ErrLoop   = errors.New("the request goes in a circle: a server is its own parent, or two have the same --node")
	ErrTooFar = errors.New("the stream has passed too many servers: pull it from one that is nearer to the broadcaster")
)
