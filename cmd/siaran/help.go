package main

import (
	"fmt"
	"strings"

	"github.com/alecthomas/kong"
)

// help explains the flags of each command. It is apart from the structs that hold them, since a struct tag cannot be
// broken into lines. ${default} stands for the default of the flag.
var help = map[string]map[string]string{
	"serve":   serveHelp,
	"doctor":  doctorHelp,
	"publish": publishHelp,
	"bench":   benchHelp,
	"token":   tokenHelp,
	"link":    linkHelp,

	"completion": {"shell": "The shell: bash, zsh or fish. Load the script with: source <(siaran completion bash)"},
}

const tokenInEnvironment = " Set it as SIARAN_TOKEN to keep it out of the process list."

// serveHelp is also for doctor, which takes the settings of a server.
var serveHelp = map[string]string{
	"config": "YAML file with any of these settings; see siaran.example.yaml.",

	"listen": "Address of the pages, of the API, WHIP and WHEP (default :8080, or :443 with HTTPS).",
	"udp":    "UDP address of all media (default ${default}).",
	"public-ip": "Address at which clients reach the media port, for 1:1 NAT and containers. It is announced in " +
		"place of the addresses of the network interfaces. May be repeated.",
	"base-url": "Public address of the server, such as https://live.example.org. Needed behind a proxy, and when " +
		"other servers share the listing.",

	"admin-listen": "Address of metrics, profiles and lists of sessions, for operators (default ${default}, if it is " +
		"free); on loopback nobody is asked for a token, elsewhere every request needs an admin token, or one for " +
		"metrics; empty to switch it off.",
	"metrics-streams": "Name this many streams in the metrics, those live longest (default ${default}: no stream is " +
		"named).",

	"tcp": "TCP address for media of broadcasters whose network blocks UDP (default: that of --udp); empty to " +
		"switch it off.",
	"interface": "Announce only the addresses of these network interfaces; * matches anything. May be repeated " +
		"(default: all but --skip-interface).",
	"skip-interface": "Do not announce the addresses of these network interfaces (default: the bridges of " +
		"containers and virtual machines).",
	"discover-public-ip": "STUN server to ask for the public address of the media port. The answer is announced " +
		"first.",

	"turn": "Address of the relay (TURN) over UDP and TCP, for clients that cannot reach the media port (default: " +
		"port 3478 on the host of --udp, if it is free); empty to switch it off.",
	"turns": "Address of the relay over TLS (default: with HTTPS, port 5349 on the host of --udp, if it is free); " +
		"empty to switch it off.",
	"turn-host": "Name or address at which clients reach the relay (default: --public-ip, else the host of " +
		"--base-url, else the host that the client has used for this server).",
	"turn-allocations": "Most relayed addresses at the same time. A browser takes up to three for each viewer " +
		"(default ${default}).",
	"turn-per-source": "Most relayed addresses, and connections to the relay, of one client address or IPv6 /64; one " +
		"/24 or IPv6 /48 may have twice as many (default ${default}).",
	"turn-bitrate": "Most bits per second of one relayed client, each way (default ${default}).",
	"ice-server": "Another STUN or TURN server for clients, such as " +
		"turn:user:password@turn.example.org:3478?transport=udp. May be repeated.",
	"ice-server-secret": "Secret for those TURN servers of --ice-server that have no user:password. The server makes " +
		"credentials from it that expire.",

	"tls-cert": "Certificate with its chain, PEM. The server then speaks HTTPS. A new certificate in the file is " +
		"picked up without a restart.",
	"tls-key": "Key of the certificate, PEM.",
	"acme": "Domain of this server. The server gets a certificate for it from Let's Encrypt, and speaks HTTPS. By " +
		"using it you agree to the terms of the authority. May be repeated.",
	"acme-email": "Address at which the authority may contact you.",
	"acme-ca":    "Directory of another certificate authority (default: that of Let's Encrypt).",
	"acme-root":  "Root certificate for the HTTPS of a private certificate authority, PEM.",
	"redirect":   "Address, such as :80, where plain HTTP is redirected to HTTPS.",
	"hsts":       "How long browsers are told to use only HTTPS for this host, such as 8760h (default: not at all).",

	"auth-firebase": "Let accounts of Firebase Authentication publish; see docs/auth.md.",
	"firebase-web-config": "JSON from the Firebase console (apiKey, authDomain, projectId), as text or in a file. " +
		"It lets people sign in to the studio. It is public.",
	"dev": "Development: use the Firebase emulators that are named in the environment. Never use it where others " +
		"can reach the server.",

	"listing": "Where the list of live streams and viewers is stored: sqlite (a file in the data folder) or " +
		"firestore (shared by several servers) (default ${default}).",
	"firebase-project": "Firebase project of the listing and of the accounts (default: that of the credentials).",
	"presence": "What Firestore stores about viewers: documents (one for each viewer), counts (only their number) " +
		"or off (default ${default}).",
	"parent": "Server to pull streams from that this one does not have, such as https://origin.example.org.",
	"front-url": "Address that leads viewers to any of the servers, such as https://live.example.org. Pages whose " +
		"server has died reload from there.",
	"region": "Where this server stands, such as jakarta: viewers go to a server of the same region if they can. " +
		"For --listing firestore with --secret-file.",
	"secret-file": "File with the secret that several servers share, in place of the one in the data folder: 32 bytes, " +
		"or a line with them in base64. May be given twice: the first secret signs, and tokens of both are accepted.",
	"max-children": "Pulls by other servers at the same time. A server that pulls two streams counts twice (default " +
		"${default}).",
	"node": "Name of this server in the listing (default: the host name).",

	"auth-webhook": "Address that the server asks whether a broadcaster or a viewer may come in, such as " +
		"https://www.example.org/siaran/may; see docs/auth.md.",
	"auth-webhook-fail": "What to do while that address does not answer: closed (nobody comes in) or open (everybody " +
		"comes in who has the token that the stream needs) (default ${default}).",
	"webhook": "Address that gets a signed message about each broadcast and about viewers, such as " +
		"https://www.example.org/siaran; see docs/webhooks.md. May be repeated.",
	"webhook-secret-file": "File with the secret that requests to --webhook and --auth-webhook are signed with: " +
		"whsec_ and 24 to 64 bytes in base64. Several lines sign with each. SIARAN_WEBHOOK_SECRET may hold it instead.",

	"data":  "Folder of the secret, the media certificate and the listing (default ${default}).",
	"grace": "How long viewers wait for a broadcaster that has vanished (default ${default}).",
	"keep-viewers": "How long viewers stay after their broadcaster has stopped, in case it starts again; " +
		"0s: they go at once (default ${default}).",
	"drain": "How long the server takes to send everybody to other servers before it ends. For servers that have " +
		"others beside them. 0s: it ends at once (default ${default}).",

	"max-broadcasts":           "Broadcasts at the same time (default ${default}).",
	"max-broadcasts-per-owner": "Broadcasts of one account at the same time (default ${default}).",
	"max-layers":               "Simulcast layers of one broadcast (default ${default}).",
	"max-bitrate":              "Bits per second of one broadcast; anything above is dropped (default ${default}).",
	"max-packet-rate":          "Packets per second of one broadcast; anything above is dropped (default ${default}).",
	"ring-memory": "Memory for all packets that are kept for viewers, such as 512M (default: a quarter of the " +
		"machine's memory).",
	"max-load": "Percentage of its processor time at which the server takes no further viewers. Half of the rest is " +
		"kept for servers that pull from it. 0 switches this check off, and the one for late workers (default ${default}).",
	"max-egress": "Bits per second that the server may send to viewers and other servers, such as 700M. It takes no " +
		"further viewers at nine tenths (default: no bound).",
	"max-viewers": "Viewers at the same time (default ${default}).",
	"max-joins": "Viewers that may begin to join in a second. Others are told to try again, each at another time " +
		"(default ${default}).",
	"max-handshakes": "Handshakes of viewers that are worked on at the same time (default: four for each CPU).",
	"max-event-streams": "Event streams of pages at the same time. Viewers' sessions may have as many again (default " +
		"${default}).",
	"max-viewers-per-stream": "Viewers of one stream at the same time; its owner can set a lower bound (default: as " +
		"many as --max-viewers allows).",
	"burst": "Bytes that are sent to one viewer back to back; the rest of a large frame is paced (default " +
		"${default}).",
	"dscp":          "DSCP mark of media packets (RFC 8837), 0 to 63, for routers that honour it (default ${default}).",
	"setup-timeout": "Time for a client to connect its media after it has received the answer (default ${default}).",
	"source-share": "Percentage of all viewers, connections and broadcasts that one client address or IPv6 /64 may " +
		"hold; one /24 or IPv6 /48 may hold twice as much. 100 removes this limit (default ${default}).",
	"trusted-proxy": "Proxy whose X-Forwarded-For is trusted, such as 127.0.0.1/32. May be repeated.",
	"allow-origin":  "Another site whose pages may call the API. May be repeated (default: all sites).",

	"strict-session-auth": "Require the token for PATCH and DELETE of a session too. Most players do not send it.",
	"lax-trickle":         "Accept candidates without If-Match, from older players.",

	"demo":       "Broadcast the built-in demo clip as the stream demo.",
	"log-format": "Format of the log: text or json (default ${default}).",
	"log-level":  "Least level that is logged: debug, info, warn or error (default ${default}).",
}

// doctorHelp is of the flags that only doctor has.
var doctorHelp = map[string]string{
	"url": "Check this running server from outside, such as https://live.example.org, in place of this machine and " +
		"its configuration.",
	"token": "With --url: a token that may publish any stream. One is published while the checks run." +
		tokenInEnvironment,
	"json": "Print the findings as JSON.",
}

var publishHelp = map[string]string{
	"url":   "WHIP endpoint, such as http://host:8080/whip/cats.",
	"token": "Token that may publish." + tokenInEnvironment,
	"demo":  "Broadcast the built-in clip in a loop.",
	"file": "A file with video (IVF with VP8, VP9 or AV1; H264 Annex B), a file with audio (OGG with Opus), or one " +
		"of each.",
	"loop": "Start again at the end, without a gap.",
	"once": "Give up when the connection fails or is lost, instead of connecting again.",
}

var benchHelp = map[string]string{
	"whep": "WHEP endpoint to watch, of any server, such as http://127.0.0.1:8080/whep/cats. May be repeated: viewers " +
		"are spread over all.",
	"whip": "WHIP endpoint to publish a synthetic stream to. Without it the stream must be live already, and " +
		"latency is not measured.",
	"token":      "Token that may publish." + tokenInEnvironment,
	"whep-token": "Token that may watch (default: --token, if all endpoints are on one host).",

	"viewers":  "Number of viewers, up to 5000 (default ${default}).",
	"duration": "How long to measure after all viewers have joined, up to 10m (default ${default}).",
	"pid":      "Process of the server on this machine, to measure its CPU time, memory and threads (Linux).",
	"json":     "Print the report as JSON.",

	"ramp":          "Joins per second (default ${default}).",
	"parallel":      "Joins in progress at the same time (default ${default}).",
	"join-timeout":  "Time for one join, up to the first complete key frame (default ${default}).",
	"settle":        "Pause between the last join and the measurement (default ${default}).",
	"readers":       "Viewers that read and decrypt everything, to measure loss exactly (default ${default}).",
	"full-read-all": "All viewers read and decrypt everything. This takes much more CPU here.",
	"cipher": "SRTP cipher that viewers prefer: gcm (AES-GCM) or cm (AES-CM with HMAC-SHA1, and no other) (default " +
		"${default}).",
	"relay": "Viewers use only the server's relay (TURN), over udp, tcp or tls (default: they connect directly over " +
		"UDP).",

	"bitrate":           "Bits per second of the video, such as 2500k or 2.5M (default ${default}).",
	"fps":               "Frames per second (default ${default}).",
	"keyframe-interval": "Time from one key frame to the next (default ${default}).",
	"ignore-pli":        "Send no key frames when the server asks for them, as OBS does.",
}

var tokenHelp = map[string]string{
	"data":   "Data folder of the server (default ${default}).",
	"stream": "Stream that the token is for; '*' for all streams.",
	"scope": "What the token allows: publish, watch or admin. With --stream '*' also metrics, which allows reading " +
		"metrics and nothing else. May be repeated.",
	"secret-file":      serveHelp["secret-file"],
	"listing":          serveHelp["listing"],
	"firebase-project": serveHelp["firebase-project"],
	"ttl": "How long the token is valid; never, or 0, for a token that does not expire (default: 24h to watch, 30 " +
		"days with admin or for all streams, a year to publish one stream; for metrics it does not expire).",
	"revoke-all": "Revoke all tokens for all streams ('*') that exist, including the link to the studio. Tokens for " +
		"one stream are revoked with POST /api/streams/NAME/keys. With --stream and --scope a new token is made " +
		"afterwards.",
}

var linkHelp = map[string]string{
	"data":             serveHelp["data"],
	"stream":           "Stream that the link is for.",
	"secret-file":      serveHelp["secret-file"],
	"listing":          serveHelp["listing"],
	"firebase-project": serveHelp["firebase-project"],
	"ttl":              "How long the link is valid; never, or 0, for one that does not expire (default: 24h).",
	"base-url":         "Public address of the server, such as https://live.example.org (default ${default}).",
}

// explain sets the help of every flag and argument.
func explain(k *kong.Kong) error {
	for _, command := range k.Model.Children {
		texts := help[command.Name]
		find := func(v *kong.Value) error {
			text, ok := texts[v.Name]
			if !ok && command.Name == "doctor" {
				text, ok = serveHelp[v.Name]
			}
			if !ok {
				return fmt.Errorf("no help for --%s of %s", v.Name, command.Name)
			}
			v.Help = strings.ReplaceAll(text, "${default}", v.Default)
			return nil
		}
		if command.Hidden {
			continue
		}
		for _, flag := range command.Flags {
			if err := find(flag.Value); err != nil {
				return err
			}
		}
		for _, argument := range command.Positional {
			if err := find(argument); err != nil {
				return err
			}
		}
	}
	return nil
}
