package web

import "net/http"

// problemKind is a type of problem (RFC 9457 section 3.1.1), which has a page that explains it.
type problemKind struct {
	Status  int // that it usually has
	Code    string
	Title   string
	Meaning string
	Remedy  string
}

// Address is the type. It is a path, which is the same on every server, and leads to the page on the one that answers.
func (k *problemKind) Address() string { return "/problems/" + k.Code }

func (k *problemKind) StatusText() string { return http.StatusText(k.Status) }

// problemKinds are all, in the order of this file.
var problemKinds []*problemKind

func kind(status int, code, title, meaning, remedy string) *problemKind {
	k := &problemKind{status, code, title, meaning, remedy}
	problemKinds = append(problemKinds, k)
	return k
}

// Of requests.
var (
	noSuchAddress = kind(http.StatusNotFound, "no-such-address", "There is nothing at this address",
		"No page and no operation has the address.",
		"Compare the address with /api/. The address of a session is in Location of the answer that has opened it.")
	wrongMethod = kind(http.StatusMethodNotAllowed, "method-not-allowed", "The address has no such method",
		"The address exists, but not with the method of the request.",
		"Use one of the methods in the header Allow of the answer.")
	httpsNeeded = kind(http.StatusMethodNotAllowed, "https-needed", "The port only leads to HTTPS",
		"This port redirects to HTTPS what reads, and what opens a session. It refuses everything else.",
		"Use the address that begins with https://. That of a session is in Location of the answer that has opened it.")
	malformedRequest = kind(http.StatusBadRequest, "malformed-request", "The request has no address that can be used",
		"The address of the request is not a path, or the header Host is not the name or the address of a host.",
		"Ask for a path, which begins with a slash, and send the Host of the URL.")
	tooSlow = kind(http.StatusRequestTimeout, "too-slow", "The request came too slowly",
		"The body did not arrive in time.",
		"Send it again. If it happens often, the network of the client loses many packets, or Content-Length is wrong.")
	tooLarge = kind(http.StatusRequestEntityTooLarge, "too-large", "The body is too large",
		"The body has more bytes than the operation takes. The detail says how many that are.",
		"Send less. Offers are rarely larger than 20 KB: a client that sends more offers needless codecs.")
	wrongContentType = kind(http.StatusUnsupportedMediaType, "wrong-content-type", "The body has the wrong content type",
		"The Content-Type of the request is missing or another one than the operation takes, or the body is compressed.",
		"Send the Content-Type that the detail names, and no Content-Encoding.")
	incompleteBody = kind(http.StatusBadRequest, "incomplete-body", "The body ended too early",
		"Fewer bytes came than the header Content-Length has promised.",
		"Send it again, with the right length.")
	malformedJSON = kind(http.StatusBadRequest, "malformed-json", "The body is not the JSON that is expected",
		"The body is not JSON, or a member has the wrong type. The detail says which.",
		"Compare the body with the operation in /api/.")
	invalidValue = kind(http.StatusUnprocessableEntity, "invalid-value", "A value in the body is not allowed",
		"The body is JSON of the right types, but a value is too long, out of its range, or not one of those that exist.",
		"Change the value that the detail names. Nothing has been changed.")
	invalidParameter = kind(http.StatusBadRequest, "invalid-parameter", "A parameter is not allowed",
		"A parameter behind the question mark of the address has a value that the operation does not know.",
		"Change the value that the detail names.")
	severalTokens = kind(http.StatusBadRequest, "several-tokens", "The request has several tokens",
		"There are several Authorization fields with different values. A proxy could read another one than this server.",
		"Send one.")
	tooManyRequests = kind(http.StatusTooManyRequests, "too-many-requests", "Too many requests",
		"The address, the account or the session has asked more often than it may.",
		"Wait for the seconds in Retry-After. If many people share an address, the operator can raise the limits.")
)

// Of tokens and accounts.
var (
	tokenNeeded = kind(http.StatusUnauthorized, "token-needed", "A token is needed",
		"The operation, or the private stream, is not for everybody.",
		"Send a token as 'Authorization: Bearer TOKEN'. The operator makes one with siaran token, a broadcaster makes "+
			"links to watch in the studio.")
	invalidToken = kind(http.StatusUnauthorized, "invalid-token", "The token is not valid",
		"This server has not made the token, or it was cut off when it was copied.",
		"Copy the whole token. After the secret of the server was replaced, new tokens are needed.")
	expired = kind(http.StatusUnauthorized, "expired", "The token has expired",
		"The token was good for a time that is over.",
		"Ask for a new one, or sign in again.")
	revoked = kind(http.StatusUnauthorized, "revoked", "The token has been revoked",
		"The keys of the stream have been renewed since the token was made, or the stream has another owner.",
		"Ask the owner of the stream for a new token.")
	signedOut = kind(http.StatusUnauthorized, "signed-out", "The account has been signed out",
		"The account was signed out everywhere after the token was made.",
		"Sign in again.")
	accountDisabled = kind(http.StatusForbidden, "account-disabled", "The account is disabled",
		"The account has been disabled or removed.",
		"Ask the operator of the server.")
	signInUnreachable = kind(http.StatusServiceUnavailable, "sign-in-unreachable", "The sign-in service does not answer",
		"Accounts are verified by a sign-in service (Firebase), which this server does not reach.",
		"Try again after the seconds in Retry-After. Keys of the server work in the meantime.")
	notAllowed = kind(http.StatusForbidden, "not-allowed", "The token does not allow this",
		"The token is valid, but for another stream or for less than the operation needs. The detail says more.",
		"Use a token with the scope that /api/ has beside the operation; GET /api/tokens/self shows what a token allows.")
	accountNeeded = kind(http.StatusForbidden, "account-needed", "This takes an account",
		"The request has a key of the server. Keys own no streams.",
		"Sign in with an account.")
	nameNeeded = kind(http.StatusForbidden, "name-needed", "The address has to name the stream",
		"At /whip the token says which stream is meant, and this token is for all streams.",
		"Put the name into the address, as in /whip/NAME.")
	refusedBySite = kind(http.StatusForbidden, "refused-by-site", "The operator's site has refused",
		"The operator of the server has a site that decides who may publish and watch, and it has said no. The status is "+
			"401 if another token would do.",
		"The detail has the site's own words. Sign in there.")
	siteUnreachable = kind(http.StatusServiceUnavailable, "site-unreachable", "The operator's site does not answer",
		"The operator of the server has a site that decides who may publish and watch, and it does not answer.",
		"Try again after the seconds in Retry-After. The log of the server says what is wrong.")
)

// Of streams.
var (
	noStreamName = kind(http.StatusNotFound, "no-stream-name", "This is no name of a stream",
		"A name has 1 to 64 of a-z, 0-9, '-' and '_', and starts with a letter or digit. 'events' is taken.",
		"Choose another name.")
	noSuchStream = kind(http.StatusNotFound, "no-such-stream", "There is no such stream",
		"Nobody has ever used the name, or the stream has been deleted.",
		"Look for typing errors. A stream comes into being when somebody broadcasts under the name.")
	notLive = kind(http.StatusConflict, "not-live", "The stream is not live",
		"Nobody broadcasts under the name at the moment. The status is 404 where a broadcast was to be ended.",
		"Wait: viewers ask again after the seconds in Retry-After, or follow /api/streams/events, which tells when the "+
			"stream goes live.")
	broadcastEnded = kind(http.StatusConflict, "broadcast-ended", "The broadcast has ended",
		"The broadcast ended while the request was under way.",
		"Ask again.")
	returning = kind(http.StatusServiceUnavailable, "returning", "The stream waits for its broadcaster",
		"The server has been started again, and the stream was live before.",
		"Try again after the seconds in Retry-After: the stream goes on as soon as its broadcaster is back.")
	streamLive = kind(http.StatusConflict, "stream-live", "The stream is live",
		"A stream that is live cannot be deleted, and one that is live on another server cannot be changed here.",
		"End its broadcast first, with DELETE /api/streams/NAME/broadcast on the server that the detail names.")
	streamTaken = kind(http.StatusConflict, "stream-taken", "Somebody else is live under the name",
		"The stream is live already, published with another token, or on another server.",
		"Use the same token to take over, or end that broadcast first, in the studio or with DELETE "+
			"/api/streams/NAME/broadcast.")
	contested = kind(http.StatusConflict, "contested", "Two broadcasters take the stream from each other",
		"Another program with the same token has just taken over the stream from one that was sending.",
		"Stop one of the two programs, or wait for the seconds in Retry-After.")
	takenOver = kind(http.StatusConflict, "taken-over", "The broadcaster has published again",
		"While this request was under way, another one with the same token has taken over the stream.",
		"Nothing, if that was you. Otherwise renew the keys of the stream.")
	notOwner = kind(http.StatusForbidden, "not-owner", "The stream belongs to another account",
		"A name belongs to the first account that publishes under it.",
		"Choose another name, or ask the owner for a key.")
	keptByKeys = kind(http.StatusForbidden, "kept-by-keys", "The stream is run with keys of the server",
		"The name belongs to no account, because it was first used with a key.",
		"Choose another name, use a key, or have an administrator give the stream to the account.")
	tooManyNames = kind(http.StatusForbidden, "too-many-names", "The account has too many names",
		"The account owns as many names as it may own.",
		"Use one of them, or delete one.")
	tooManyBroadcasts = kind(http.StatusForbidden, "too-many-broadcasts", "The account has too many broadcasts",
		"The account has as many live streams as it may have.",
		"End one of them first.")
	noPicture = kind(http.StatusNotFound, "no-picture", "There is no picture now",
		"The stream is not live on this server, has no video, or its first key frame has not come yet.",
		"Ask again later.")
	noBroadcaster = kind(http.StatusNotFound, "no-broadcaster", "Nobody publishes the stream here",
		"The stream is not live, or live on another server.",
		"Ask the server where it is live.")
)

// Of sessions and viewers.
var (
	malformedOffer = kind(http.StatusBadRequest, "malformed-offer", "The SDP is malformed",
		"The offer, or the fragment with candidates, is not SDP that can be read. The detail says what is wrong.",
		"Send what RTCPeerConnection.createOffer() gives, unchanged, as application/sdp.")
	unacceptableOffer = kind(http.StatusUnprocessableEntity, "unacceptable-offer", "The offer cannot be accepted",
		"The offer can be read, but lacks something: a codec that both sides know, a direction, BUNDLE, a fingerprint. The "+
			"detail says what.",
		"Broadcasters send, viewers receive. See docs/clients.md for what each client needs.")
	noSuchSession = kind(http.StatusNotFound, "no-such-session", "There is no such session",
		"The session has ended, or the address is wrong.",
		"Open a new session.")
	ifMatchMissing = kind(http.StatusPreconditionRequired, "if-match-missing", "If-Match is missing",
		"A PATCH must say which state of the session it is about (RFC 9725 section 4.3.1).",
		"Send the ETag of the session, or *, as If-Match.")
	etagChanged = kind(http.StatusPreconditionFailed, "etag-changed", "If-Match is not the session's ETag",
		"ICE has been restarted since the ETag was given.",
		"Send the newest ETag: a GET of the session has it.")
	noSuchLayer = kind(http.StatusUnprocessableEntity, "no-such-layer", "This cannot be chosen",
		"The stream has no such layer, or the m-line is not that of the video.",
		"GET the same address: it shows what there is.")
	noSuchEvents = kind(http.StatusNotFound, "no-such-event-stream", "There is no such event stream",
		"It has ended, with its session or before, or the address is wrong.",
		"Open a new one.")
	unknownEvent = kind(http.StatusBadRequest, "unknown-event", "There is no such event",
		"A viewer's session has no event of this name, or the list of names is empty.",
		"Name events that the detail lists, or send no body for all.")
	tooManyEvents = kind(http.StatusTooManyRequests, "too-many-event-streams", "The session has too many event streams",
		"The session has as many event streams as it may have.",
		"End one of them with DELETE.")
	noSuchViewer = kind(http.StatusNotFound, "no-such-viewer", "There is no such viewer here",
		"The viewer has gone, or watches on another server.",
		"List the viewers again: the list says on which server each of them is.")
	banned = kind(http.StatusForbidden, "banned", "The broadcaster has sent you away",
		"The viewer, by its token or its address, may not come back while the broadcast lasts.",
		"Wait for the next broadcast.")
	tooManyBans = kind(http.StatusConflict, "too-many-bans", "No more viewers can be banned",
		"The number of banned viewers of a broadcast is limited, and reached.",
		"Make the stream private, and renew its keys.")
	unidentified = kind(http.StatusConflict, "unidentified", "Nothing identifies the viewer",
		"A viewer is banned by its token or its address. This one has no token of its own, and its address is not known.",
		"Send it away without a ban. Behind a proxy, --trusted-proxy makes addresses known.")
	siteNotAllowed = kind(http.StatusForbidden, "site", "The stream may not be watched on this site",
		"The owner of the stream has said which sites may show it, and this one is not among them.",
		"The owner can add the site (embedSites).")
	shareUsedUp = kind(http.StatusTooManyRequests, "share-used-up", "The address has too many sessions",
		"The address, or its network, has as many of the sessions as it may have.",
		"End some of them first. If many people share an address, the operator can raise the limits.")
	streamFull = kind(http.StatusServiceUnavailable, "stream-full", "The stream is full",
		"The owner of the stream, or the operator, has limited the number of viewers.",
		"Try again after the seconds in Retry-After: somebody may have gone.")
)

// Of the server.
var (
	tooManySessions = kind(http.StatusServiceUnavailable, "too-many-sessions", "The server is full",
		"The server has as many sessions as it can serve.",
		"Try again after the seconds in Retry-After, or use another server.")
	noRoom = kind(http.StatusServiceUnavailable, "full", "No server has room",
		"None of the servers of the cluster has room for another viewer.",
		"Try again after the seconds in Retry-After. The operator can start more servers.")
	tooManyJoins = kind(http.StatusServiceUnavailable, "joins", "Very many viewers come at the moment",
		"The server lets in a limited number of viewers per second, so that those who already watch notice nothing.",
		"Try again after the seconds in Retry-After, which differ so that not all come back together.")
	busy = kind(http.StatusServiceUnavailable, "busy", "The server takes nobody else for the moment",
		"More viewers would harm those who are here. The detail says what the server lacks.",
		"Try again after the seconds in Retry-After, which differ so that not all come back together.")
	noAnswerInTime = kind(http.StatusServiceUnavailable, "no-answer-in-time", "The answer was not ready in time",
		"The server, or something that it asks, is too slow.",
		"Try again after the seconds in Retry-After.")
	listUnavailable = kind(http.StatusServiceUnavailable, "list-unavailable", "The list of streams does not answer",
		"The server does not reach its database. What is live goes on.",
		"Try again after the seconds in Retry-After. The log of the server says what is wrong.")
	notReady = kind(http.StatusServiceUnavailable, "not-ready", "The server is not ready",
		"New sessions should go to another server. The detail says why.",
		"Wait until /readyz answers with 200.")
	shuttingDown = kind(http.StatusServiceUnavailable, "shutting-down", "The server is shutting down",
		"The server ends. It may soon be back.",
		"Try again after the seconds in Retry-After.")
	draining = kind(http.StatusServiceUnavailable, "draining", "The server is being emptied",
		"The operator empties the server before it ends. New sessions are for other servers.",
		"Try again after the seconds in Retry-After: in a cluster another server answers.")
	alreadyDraining = kind(http.StatusConflict, "already-draining", "The server cannot drain now",
		"It is being emptied already, or was told to end by a signal.",
		"GET /api/drain shows how far it is.")
	notDraining = kind(http.StatusConflict, "not-draining", "The server is not draining",
		"There is nothing to take back, or it is too late.",
		"GET /api/drain shows its state.")
	serverError = kind(http.StatusInternalServerError, "server-error", "Something went wrong in the server",
		"This is a fault of the server.",
		"The log of the server has the details. Please report it.")
)

// Of servers that get their streams from each other.
var (
	parentUnavailable = kind(http.StatusServiceUnavailable, "parent-unavailable", "The parent does not answer",
		"This server is an edge, and does not reach the server that it gets the stream from.",
		"Try again after the seconds in Retry-After. The log of the edge says what is wrong.")
	above = kind(http.StatusConflict, "above", "The stream is that of another server",
		"This server is an edge, and has the stream from its parent.",
		"Change it there.")
	malformedWay = kind(http.StatusBadRequest, "malformed-way", "Siaran-Path is malformed",
		"The header Siaran-Path, with which servers say which way a request has come, is not a short list of their names.",
		"Only servers send it: remove it.")
	loop = kind(http.StatusLoopDetected, "loop", "The request goes in a circle",
		"A server is its own parent, directly or through others, or two servers have the same --node.",
		"Correct --parent or --node.")
	tooFar = kind(http.StatusLoopDetected, "too-far", "The stream has passed too many servers",
		"The stream has passed as many servers, one after the other, as it may pass.",
		"Pull it from a server that is nearer to the broadcaster.")
)
