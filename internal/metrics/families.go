package metrics

// What the server has, and how it fares.
var (
	buildInfo = gauge("siaran_build_info", "Always 1; the labels say what runs.", "version", "revision", "go")
	limitUsed = gauge("siaran_limit_used", "How much of a limit is in use.", "limit")
	limitMost = gauge("siaran_limit", "The limit itself.", "limit")
	panics    = counter("siaran_faults_total", "Faults of the server (panics), each of which has ended one session or "+
		"cost one datagram.")

	broadcasts = gauge("siaran_broadcasts", "Broadcasts by state: starting (no media yet), live, interrupted, kept "+
		"(over, but viewers wait for the next).", "state")
	pulled = gauge("siaran_broadcasts_pulled", "Broadcasts, of those live and interrupted, that come from another "+
		"server.")
	broadcastsBegan = counter("siaran_broadcasts_begun_total", "Broadcasts that have had media.")
	broadcastsEnded = counter("siaran_broadcasts_ended_total", "Broadcasts that are over.", "reason")
	ringBytes       = gauge("siaran_ring_memory_bytes", "Memory that the packets kept for viewers may take at present.")
)

// Broadcasters, and what comes from them.
var (
	publishers = gauge("siaran_broadcasters", "Sessions of broadcasters and pulls: connecting, sending, silent.",
		"state")
	pulling       = gauge("siaran_broadcasters_pulled", "Sessions, of these, that pull a stream from another server.")
	publishes     = counter("siaran_publishes_total", "Offers of broadcasters by outcome.", "outcome")
	publishesOver = counter("siaran_broadcaster_sessions_ended_total", "Connected sessions of broadcasters by the reason "+
		"for their end.", "reason")
	publishSeconds = histogram("siaran_publish_stage_seconds", "Time of each stage of a broadcaster's start: handshake "+
		"(ICE and DTLS, from the answer), media (first packet).", "stage")

	inPackets  = counter("siaran_received_packets_total", "Packets of media from broadcasters and parents.")
	inBytes    = counter("siaran_received_bytes_total", "Bytes of media from broadcasters and parents, without headers.")
	inLost     = counter("siaran_received_lost_packets_total", "Packets from broadcasters that never came.")
	inAsked    = counter("siaran_received_nack_packets_total", "Packets that broadcasters were asked to send again.")
	inRepaired = counter("siaran_received_repaired_packets_total", "Packets that came after they were asked for.")
	inTwice    = counter("siaran_received_duplicate_packets_total", "Packets that came again or too late.")
	inDropped  = counter("siaran_received_dropped_packets_total", "Packets dropped because they were over --max-bitrate "+
		"or --max-packet-rate.")
	inBackward = counter("siaran_received_backward_frames_total", "Frames with a timestamp before the one before "+
		"(B-frames).")
	inJumps   = counter("siaran_received_timestamp_jumps_total", "Timestamps that have jumped by more than a second.")
	keyframes = counter("siaran_keyframes_total", "Key frames from broadcasters.")

	keyframeRequests = counter("siaran_keyframe_requests_total", "Requests for key frames: by viewers; merged with one "+
		"that was on its way; sent to broadcasters; answered within a second.", "what")
	keyframeCached = counter("siaran_keyframe_cache_starts_total", "Starts of viewers from the cached key frame, which "+
		"nobody had to ask for.")
)

// Viewers, and what goes to them.
var (
	viewers = gauge("siaran_viewers", "Connected viewers by path (direct, relayed) and by the picture that they get.",
		"path", "layer")
	viewersWhy = gauge("siaran_viewers_by_reason", "Connected viewers by the reason why they get what they get.",
		"reason")
	viewersBelow = gauge("siaran_viewers_below", "Viewers at servers that pull from this one, as these report.")
	viewersSetup = gauge("siaran_viewers_connecting", "Viewers that have an answer and are not connected yet.")
	children     = gauge("siaran_children", "Sessions of servers that pull from this one.")
	joins        = counter("siaran_joins_total", "Offers of viewers by outcome.", "outcome")
	leaves       = counter("siaran_viewer_sessions_ended_total",
		"Connected viewers by the reason why they left.", "reason")
	joinSeconds = histogram("siaran_join_stage_seconds", "Time of each stage of a viewer's join.", "stage")
	firstFrame  = histogram("siaran_first_frame_seconds", "Time from a viewer's offer until its first key frame has "+
		"gone out whole.")

	outPackets    = counter("siaran_sent_packets_total", "Packets of media to viewers, without repairs.")
	outBytes      = counter("siaran_sent_bytes_total", "Bytes of media to viewers, with RTP headers.")
	outLost       = counter("siaran_sent_lost_packets_total", "Packets lost on their way to viewers, as these report.")
	outRepaired   = counter("siaran_sent_repaired_packets_total", "Packets sent again because viewers asked.")
	outUnrepaired = counter("siaran_sent_unrepaired_packets_total", "Packets that viewers asked for and did not get: "+
		"gone, or over the budget for repairs.")
	overruns = counter("siaran_viewer_overruns_total", "Times that a viewer fell so far behind that it went on from a "+
		"key frame.")
	drops = counter("siaran_dropped_total", "Datagrams and packets of viewers' sessions that were dropped.", "reason")
	delay = histogram("siaran_forward_delay_seconds", "Time that frames stay here, from their last packet until they "+
		"have gone out to all viewers of a worker.")
	late = histogram("siaran_worker_late_seconds", "How late the timers of workers are: rises when the processors are "+
		"short.")
)

// How busy the server is.
var (
	openTo = gauge("siaran_open", "1 if the server takes further viewers, or servers that pull; 0 if it has too much "+
		"to do.", "to")
	loadOf = gauge("siaran_load", "What was measured in the last second, as a share of the mark above which the server "+
		"closes (processor, late workers, network, buffers).", "cause")
	refusedBusy = counter("siaran_refused_busy_total", "Viewers and servers that were refused because there was too "+
		"much to do.", "who", "cause")
)

// Ports, HTTP and the relay.
var (
	udpIn       = counter("siaran_udp_received_datagrams_total", "Datagrams received at the media port.")
	udpInBytes  = counter("siaran_udp_received_bytes_total", "Bytes received at the media port.")
	udpLimited  = counter("siaran_udp_limited_datagrams_total", "Datagrams dropped because their source sent too many.")
	udpOut      = counter("siaran_udp_sent_datagrams_total", "Datagrams of media handed to the system.")
	udpMessages = counter("siaran_udp_sent_messages_total", "What they were handed over as: a message is a datagram, or "+
		"a run of several (GSO).")
	udpFlushes = counter("siaran_udp_sent_batches_total", "Batches of messages, each of which is one system call as a "+
		"rule.")
	udpLost    = counter("siaran_udp_send_failures_total", "Datagrams that the system did not take.")
	udpRuns    = gauge("siaran_udp_gso", "1 if runs of datagrams are handed over as one (GSO).")
	udpRefused = counter("siaran_udp_gso_fallbacks_total", "Runs that the system refused; their datagrams went out one "+
		"by one.")

	httpRequests       = counter("siaran_http_requests_total", "Requests by route.", "method", "route", "code")
	httpSeconds        = histogram("siaran_http_request_seconds", "Time to answer requests.", "method", "route")
	eventStreams       = gauge("siaran_event_streams", "Event streams (SSE) that are open.", "kind")
	connections        = gauge("siaran_connections", "Connections to the HTTP port.", "state")
	connectionsRefused = counter("siaran_connections_refused_total", "Connections that were over a limit.")
	tlsFailed          = counter("siaran_tls_handshake_failures_total", "TLS handshakes that have failed.")

	relayAllocations = gauge("siaran_relay_allocations", "Relayed addresses (TURN).")
	relayConnections = gauge("siaran_relay_connections", "TCP and TLS connections to the relay.")
	relayMade        = counter("siaran_relay_allocations_total", "Relayed addresses that were made.")
	relayBindings    = counter("siaran_relay_bindings_total", "STUN Binding requests answered.")
	relayAuth        = counter("siaran_relay_authentications_total",
		"Requests by the outcome of authentication.", "outcome")
	relayRefused   = counter("siaran_relay_refused_total", "What the relay refused.", "reason")
	relayClosed    = counter("siaran_relay_closed_total", "What the relay ended.", "reason")
	relayDatagrams = counter("siaran_relay_datagrams_total", "Datagrams relayed: up from clients, down to them.",
		"direction")
	relayBytes = counter("siaran_relay_bytes_total", "Bytes relayed.", "direction")
	relayDrops = counter("siaran_relay_dropped_total", "Datagrams that were not relayed.", "reason")
)

// The listing, other servers, and streams by name.
var (
	listingCalls       = counter("siaran_listing_calls_total", "Calls that write to the listing.", "call")
	listingErrors      = counter("siaran_listing_errors_total", "Calls, of these, that failed.", "call")
	listingSeconds     = histogram("siaran_listing_call_seconds", "Time of these calls.")
	listingFailing     = gauge("siaran_listing_failing", "1 while the listing fails.")
	listingLag         = gauge("siaran_listing_lag_seconds", "How long the oldest change has waited to be written.")
	listingWaiting     = gauge("siaran_listing_waiting", "Broadcasts with changes that wait to be written.")
	firestoreDocuments = counter("siaran_firestore_documents_total", "Documents, which is how Firestore bills.",
		"operation")

	pulls       = gauge("siaran_pulls", "Streams that are being pulled from the parent.")
	pullsBegan  = counter("siaran_pulls_begun_total", "Pulls that were tried.")
	pullsFailed = counter("siaran_pulls_failed_total", "Pulls, of these, that never came to media.")

	webhookWaiting  = gauge("siaran_webhook_waiting", "Webhook messages that wait, for all receivers together.")
	webhookOldest   = gauge("siaran_webhook_oldest_seconds", "How long the oldest of them has waited.")
	webhookFailing  = gauge("siaran_webhook_receivers_failing", "Receivers of webhooks that do not answer.")
	webhookRequests = counter("siaran_webhook_requests_total", "Requests to receivers of webhooks: taken; refused "+
		"(answered with an error); no_answer. What is not taken is sent again.", "outcome")
	webhookLost = counter("siaran_webhook_lost_total", "Webhook messages that no receiver will get: given_up (not taken "+
		"for three days, or cannot be read), full (too many waited), gone (from the file).", "reason")
	admissionQuestions = counter("siaran_admission_questions_total", "Questions to the site of --auth-webhook: "+
		"allowed; refused; no_answer; limited (not asked, because too many were); kept (an equal question has the answer).",
		"outcome")
	admissionSeconds = histogram("siaran_admission_seconds", "Time until that site has answered.")

	traceSpans = counter("siaran_trace_spans_total", "Spans for the collector of traces: sent; refused (or not "+
		"answered); full (dropped, because too many waited).", "outcome")

	placements = counter("siaran_placements_total", "Offers of viewers by who serves them: here; elsewhere (another "+
		"server); nobody (no server has room).", "outcome")
	bans = counter("siaran_bans_total", "Viewers banned for a broadcast, by what they are known by.", "by")

	streamViewers = gauge("siaran_stream_viewers", "Viewers of a stream (--metrics-streams).", "stream")
	streamLive    = gauge("siaran_stream_live", "1 while a stream is live, 0 while it is interrupted.", "stream")
	streamPackets = counter("siaran_stream_received_packets_total", "Packets of a stream's broadcast.", "stream")
	streamBytes   = counter("siaran_stream_received_bytes_total", "Bytes of a stream's broadcast.", "stream")
	streamLost    = counter("siaran_stream_lost_packets_total",
		"Packets of a stream's broadcast that never came.", "stream")
	streamKeyframes = counter("siaran_stream_keyframes_total", "Key frames of a stream's broadcast.", "stream")
)
