// @ts-check
// English. Where the grammar needs it, a text is a function of its values.

/** @typedef {import("./i18n.js").Words} Words */

/** @satisfies {Record<string, Words>} */
export default {
  "nav": "Main",
  "nav.dashboard": "On air",
  "nav.studio": "Studio",
  "skip": "Skip to the content",
  "otherLanguage": "Bahasa Indonesia",
  "theme.auto": "Colours: same as the system",
  "theme.light": "Colours: light",
  "theme.dark": "Colours: dark",
  "copy": "Copy",
  "copied": "Copied",
  "copyFailed": "Could not copy",
  "share": "Share",
  "linkCopied": "Link copied",
  "live": "Live",
  "ended": "Ended",
  "interrupted": "On hold",
  "paused": "Paused",
  "viewers": ({ shown }) => `${shown} watching`,
  "foot": "Live from here to there in well under half a second.",

  "dashboard.title": "On air now",
  "dashboard.count": ({ n, shown }) => {
    if (n === 0) return "Nobody is live at the moment.";
    return n === 1 ? "One broadcast is live." : `${shown} broadcasts are live.`;
  },
  "dashboard.loading": "Looking for live broadcasts…",
  "dashboard.lost": "Connection lost. Trying again…",
  "dashboard.went": "{title} is live",
  "dashboard.gone": "{title} has ended",
  "empty.title": "The stage is yours",
  "empty.text":
    "Nobody is live. Start a broadcast and its card appears " +
    "here by itself, for everyone who has this page open.",
  "empty.browser": "From this browser",
  "empty.browser.text": "Camera, microphone or screen. Nothing to install.",
  "empty.browser.go": "Open the studio",
  "empty.obs": "From OBS",
  "empty.obs.text": "Settings → Stream → Service: WHIP. Paste this server, and a bearer token made in the studio.",
  "empty.obs.server": "Server for OBS",

  "missing.title": "There is nothing here",
  "missing.text": "The address is wrong. Names of streams have only small letters, digits, hyphens and underscores.",
  "missing.go": "See what is on air",

  "state.connecting": "One moment…",
  "state.connecting.more": "",
  "state.waiting": "Starting soon",
  "state.waiting.more": "This stream is not live yet. It starts here by itself: just leave the page open.",
  "state.interrupted": "Hold on",
  "state.interrupted.more": "The broadcaster's connection is interrupted. The picture comes back by itself.",
  "state.reconnecting": "Reconnecting…",
  "state.reconnecting.more": "The connection was lost and is being restored.",
  "state.ended": "The broadcast has ended",
  "state.ended.more": "Thank you for watching. If it starts again, it plays here by itself.",
  "failure.network": "The server cannot be reached",
  "failure.network.more": "Check your connection. If that is fine, the server may be down or being restarted.",
  "failure.name": "There is no such stream",
  "failure.name.more": "Check the address: perhaps a letter is missing.",
  "failure.private": "This stream is private",
  "failure.private.more": "Open it with the link that you were given. If you did, the link may have expired.",
  "failure.codec": "This browser cannot play the stream",
  "failure.codec.more": "It is sent in a format that this browser does not support. Try another browser.",
  "failure.busy": "The server is full at the moment",
  "failure.busy.more": "It plays here as soon as there is room.",
  "failure.server": "The server answered with an error",
  "failure.server.more": "If this goes on, tell the operator.",
  "failure.blocked": "No way through for the media",
  "failure.blocked.more":
    "The server answers, but sound and picture do not get through from this network. Tried: {tried}. Try " +
    "another network, or switch off a VPN.",
  "failure.norelay": "No way through for the media",
  "failure.norelay.more":
    "Sound and picture (UDP) do not get through from this network, and this server offers no relay. Try " +
    "another network; the operator can find out more with: siaran doctor.",
  "failure.relayless": "This server has no such relay",
  "failure.relayless.more":
    "The address of this page asks for a relay (relay=…), and the " +
    "server offers none of that kind. Open the page without it.",
  "failure.refused": "The relay refused",
  "failure.refused.more":
    "Sound and picture do not get through directly, and the server's relay refused to help (code {code}). " +
    "Try again later, or ask the operator to run: siaran doctor.",
  "failure.dtls": "No secure connection for the media",
  "failure.dtls.more":
    "The server was reached, but the two sides could not agree on encryption. Something in between, such as " +
    "a VPN or a virus scanner, may be changing the packets. Try another network.",
  "failure.media": "Connected, but nothing arrives",
  "failure.media.more":
    "The connection is up, but no sound or picture comes through it. The broadcaster may be sending nothing. " +
    "If others can watch, ask the operator to run: siaran doctor.",
  "failure.decode": "Received, but no picture",
  "failure.decode.more":
    "Sound and picture arrive, but this browser cannot show them. Reload the page, or try another browser.",
  "retry.in": "Trying again in {n} s",
  "retry.now": "Trying again now…",
  "details": "Details",
  "details.text": "For the operator of the server. It contains no password and no address of yours.",
  "close": "Close",
  "stage.offer": "Asking the server…",
  "stage.connect": "Looking for a way through for sound and picture…",
  "stage.secure": "A way was found; agreeing on encryption…",
  "stage.media": "Connected; waiting for sound and picture…",
  "stage.decode": "Waiting for a complete picture…",
  "stage.play": "",
  "way.udp": "directly (UDP)",
  "way.tcp": "directly (TCP)",
  "way.relay-udp": "relay over UDP",
  "way.relay-tcp": "relay over TCP",
  "way.relay-tls": "relay over TLS",
  "stats.path": "Path",
  "path.direct": "Direct, {transport}",
  "path.relayed": "Relay, {transport}",
  "failure.browser": "The browser could not play the stream",
  "failure.browser.more": "Reloading the page may help.",
  "player.unmute": "Tap for sound",
  "player.mute": "Mute",
  "player.volume": "Volume",
  "player.play": "Play",
  "player.soundOnly": "Sound only",
  "player.again": "Try again",
  "player.pause": "Pause (K)",
  "player.playKey": "Play (K)",
  "player.noPicture": "No picture yet",
  "player.noPicture.none": "The sound is here. The picture shows by itself as soon as it is sent.",
  "player.noPicture.unseen": "The sound is here. A picture is being sent, but it cannot be shown yet.",
  "player.pictureStopped": "No new picture is coming at the moment.",
  "player.noSound.none": "No sound is being sent yet.",
  "player.noSound.stopped": "No sound is coming at the moment.",
  "player.pip": "Picture in picture",
  "player.full": "Full screen (F)",
  "player.leaveFull": "Leave full screen (F)",
  "quality.label": "Quality",
  "quality.title": "Quality: {now}",
  "quality.auto": "Auto",
  "quality.autoNow": "Auto ({now})",
  "quality.why": "{size}, {why}",
  "quality.bandwidth": "your connection",
  "quality.silent": "the broadcaster sends no more",
  "quality.sound": "Sound only",
  "stats.layer": "Layer",
  "stats.estimate": "Your connection carries",
  "stats.title": "Statistics",
  "stats.latency": "Latency",
  "stats.bitrate": "Bitrate",
  "stats.resolution": "Resolution",
  "stats.fps": "Frames/s",
  "stats.loss": "Packet loss",
  "stats.rtt": "Round trip",
  "stats.buffer": "Buffer",
  "stats.freezes": "Freezes",
  "stats.codec": "Codecs",

  "studio.title": "Studio",
  "token.title": "Your key to the studio",
  "token.text":
    "Going live needs a token. The server printed a studio link with one when it started. Open that link, or " +
    "paste the link or the token here.",
  "token.make": "No link at hand? On the server, make a token:",
  "token.label": "Studio link or token",
  "token.use": "Open the studio",
  "token.bad": "That is not a token. A token is long and has two dots in it.",
  "token.scope": "This token may only watch. Going live needs one with the scope publish.",
  "token.expired": "This token has expired. Ask for a new one.",
  "token.forget": "Forget the token",
  "token.kept": "The token stays in this tab and is forgotten when you close it.",
  "source.title": "Picture and sound",
  "source.camera": "Camera",
  "source.screen": "Screen",
  "source.sound": "Sound only",
  "source.video": "Camera",
  "source.audio": "Microphone",
  "source.noAudio": "No microphone",
  "source.quality": "Quality",
  "quality.480": "480p · 1 Mbit/s",
  "quality.720": "720p · 2.5 Mbit/s",
  "quality.1080": "1080p · 4.5 Mbit/s",
  "source.layered": "Send smaller pictures too",
  "source.layered.help":
    "Viewers on slow networks then get one that fits. It takes about a third more of your upload.",
  "source.level": "Sound level",
  "source.device": "Device {n}",
  "preview.label": "Preview of what you send",
  "preview.empty": "Your picture appears here",
  "preview.start": "Turn on the camera",
  "preview.startScreen": "Choose a screen",
  "preview.startSound": "Turn on the microphone",
  "preview.soundOnly": "Sound only",
  "about.title": "About the broadcast",
  "about.name": "Name in the link",
  "about.name.help": "a–z, 0–9, - and _. It is public.",
  "about.name.fixed": "Your token is for this stream.",
  "about.name.bad": "Use 1 to 64 of a–z, 0–9, - and _, beginning with a letter or digit.",
  "about.titleField": "Title",
  "about.titlePlaceholder": "What is it about?",
  "about.visibility": "Who may watch",
  "about.public": "Everyone",
  "about.private": "With a link only",
  "about.private.help": "Private streams are not listed. The link that you share then carries a watch token.",
  "delete": "Delete this stream",
  "delete.title": "Delete {name}?",
  "delete.text":
    "Its title and settings are gone, and all its tokens and links are void for good. " +
    "After that anyone can use the name.",
  "delete.yes": "Delete",
  "delete.no": "Keep it",
  "delete.done": "{name} has been deleted.",
  "delete.live": "{name} is live. End its broadcast first.",
  "go": "Go live",
  "stop": "Stop",
  "stopSure": "Really stop?",
  "studio.live": "You are live",
  "studio.connecting": "Going live…",
  "studio.reconnecting": "Connection lost. Reconnecting…",
  "studio.share": "Link for your viewers",
  "studio.open": "Open the watch page",
  "studio.viewers": "Watching now",
  "studio.uptime": "Live for",
  "encoder.title": "Live from another program",
  "health.limited.bandwidth":
    "Your connection is too slow for this quality, so the picture is made smaller. Try a lower quality.",
  "health.limited.upload":
    "Your upload carries only about {rate}, so the picture is made smaller. Choose a lower quality, " +
    "use a cable instead of Wi-Fi, or pause other uploads.",
  "health.limited.cpu":
    "This computer is busy, so the picture is made smaller. Close other programs or choose a lower quality.",
  "health.noPicture": "Your browser sends no picture at the moment. Check the camera, or choose it again.",
  "health.noSound": "Your browser sends no sound at the moment. Check the microphone, or choose it again.",
  "health.loss": "{share} of the packets are lost on the way to the server. A cable instead of Wi-Fi often helps.",
  "arrival.title": "How it arrives at the server",
  "arrival.picture": "Picture: {codec}",
  "arrival.sound": "Sound: {codec}",
  "arrival.rate": "{n} frames a second",
  "arrival.keyframes": "key frame every {n} s",
  "arrival.lost": "{share} lost",
  "arrival.repaired": "{share} lost and sent again",
  "arrival.queue": "waits {time} on the way",
  "warning.bitrate":
    "You send more than this server takes, and the rest is dropped. Lower the bitrate of the encoder.",
  "warning.upload":
    "Your upload is too slow for this bitrate, so what you send waits on the way. " +
    "Lower the bitrate of the encoder until this goes away, or pause other uploads.",
  "warning.repairs":
    "Many packets are lost on the way to the server and have to be sent again. Viewers do not notice " +
    "so far. Use a cable instead of Wi-Fi, or lower the bitrate.",
  "warning.profile":
    "Many browsers cannot show this kind of video. Set the colour format of the encoder to 4:2:0 with " +
    "8 bits (in OBS: NV12), and a usual profile such as High.",
  "warning.timestamps":
    "The encoder's timestamps jump, and viewers see the picture stand or skip each time. Do not switch " +
    "sources while you are live, or use another version of the encoder.",
  "warning.clock":
    "The encoder's timestamps do not keep to real time, so the picture stutters or falls behind. Set its " +
    "frame rate and sample rate to those of the camera and microphone.",
  "warning.apart":
    "Sound and picture drift apart. Take both from one device, or let the encoder keep the sound in step " +
    "(in OBS: use device timestamps), and begin again.",
  "warning.loss":
    "Packets are lost on the way to the server. Lower the bitrate, or use a cable instead of Wi-Fi.",
  "warning.keyframes":
    "Key frames come too seldom: viewers wait for one before they see anything. " +
    "Set the key frame interval to 2 seconds.",
  "warning.silent": "Nothing arrives from you at the server. Check your network.",
  "warning.no-keyframe": "No complete picture has arrived yet, so there is nothing to show.",
  "warning.no-video":
    "No picture arrives from you at the server, only sound. Check the camera or the screen that you share.",
  "warning.no-audio": "No sound arrives from you at the server, only the picture. Check the microphone.",
  "warning.tcp":
    "Your network lets no UDP through: a lost packet holds up all " +
    "that follow. Use another network if the picture stutters.",
  "warning.marker":
    "The encoder marks the ends of pictures wrongly. The server corrects that, at the cost of a little " +
    "delay. Use a newer encoder.",
  "warning.large-packets":
    "Your packets are too large for viewers behind some VPNs. " +
    "Set the packet size (MTU) of the encoder to 1200 bytes.",
  "warning.b-frames":
    "The video has B-frames, with which the picture freezes or " +
    "shakes in browsers. Set B-frames to 0 in the encoder.",
  "steps.title": "Ten steps to going live",
  "step.asked": "Camera and microphone asked for",
  "step.allowed": "Allowed",
  "step.preview": "Preview runs",
  "step.peer": "Peer connection made",
  "step.offer": "Offer written",
  "step.stored": "Title stored",
  "step.signalling": "Offer sent to the server",
  "step.answer": "Answer applied",
  "step.connected": "Connected, media flows",
  "step.seen": "Seen by the first viewer",
  "step.waiting": "waiting for someone to watch",
  "step.done": "done",
  "step.running": "running",
  "step.failed": "failed",
  "step.open": "to come",
  "obs.title": "Broadcast from OBS",
  "obs.lead": "In OBS: Settings → Stream → Service: WHIP. Then paste these two:",
  "obs.server": "Server",
  "obs.token": "Bearer token",
  "obs.make": "Make a token",
  "obs.makeNew": "Make a new token",
  "obs.void": "Make all older tokens of this stream void",
  "obs.once": "Shown once: copy it now.",
  "obs.own": "Older tokens are void. This page uses the new one from now on.",
  "obs.name": "Give the broadcast a name first (above): the token is made for it.",
  "obs.how": "Set it up well",
  "obs.keyframe": "Output → Keyframe interval: 1 or 2 s. New viewers start at a key frame.",
  "obs.bframes": "B-frames: 0. Browsers cannot show them in a live stream: the picture shakes.",
  "obs.codec": "Encoder: H.264, which every browser plays. Audio: Opus.",
  "obs.rate": "Rate control: CBR, 2500 to 6000 kbit/s.",
  "capture.insecure":
    "This page needs HTTPS: browsers let only pages with https (or on localhost) use camera and microphone. " +
    "The operator can start the server with --acme and its domain, " +
    "or with --tls-cert and --tls-key. OBS works without HTTPS.",
  "capture.denied":
    "The browser was not allowed to use the camera or microphone. " +
    "Allow it at the address bar, then try again.",
  "capture.none": "No camera or microphone was found. Plug one in, or choose the screen.",
  "capture.busy": "Another program is using the camera or microphone. Close it and try again.",
  "capture.failed": "Camera or microphone failed: {detail}",
  "capture.cancelled": "No screen was chosen.",
  "live.taken": "This stream is live already with another key. Stop that broadcast first, or choose another name.",
  "live.denied": "The token is not valid for this stream: it may have expired or been replaced by a newer one.",
  "live.network": "The server cannot be reached.",
  "live.busy": "The server is full or asks to wait. Trying again…",
  "live.codec": "The server does not support this browser's formats.",
  "live.failed": "The server refused: {detail}",
  "live.stolen": "The broadcast was ended or continued elsewhere.",
  "end.other": "End the broadcast that is live",

  "signIn.key": "Or with a key",
  "signIn.title": "Sign in to broadcast",
  "signIn.text": "With your account you keep the names that you broadcast under.",
  "signIn.google": "Continue with Google",
  "signIn.or": "or with e-mail",
  "signIn.email": "E-mail",
  "signIn.password": "Password",
  "signIn.go": "Sign in",
  "signIn.new": "Create an account",
  "signIn.forgot": "Forgot the password?",
  "signIn.who": "Signed in as {who}",
  "signIn.out": "Sign out",
  "signIn.names": "Names that you have used",
  "signIn.wrong": "E-mail or password is wrong.",
  "signIn.disabled": "This account has been disabled. Ask the operator of this server.",
  "signIn.popup": "The browser has blocked Google's window. Allow pop-ups for this page, then try again.",
  "signIn.closed": "Google's window was closed before you had signed in.",
  "signIn.offline": "The sign-in service cannot be reached. Check your connection, then try again.",
  "signIn.tooMany": "Too many attempts. Wait a few minutes, or set a new password.",
  "signIn.inUse": "There is an account with this e-mail already: sign in instead.",
  "signIn.weak": "Choose a password of 6 characters or more.",
  "signIn.noEmail": "This is not an e-mail address.",
  "signIn.off": "This way to sign in is switched off on this server.",
  "signIn.domain": "Firebase does not know this site. The operator has to add it to the authorised domains.",
  "signIn.otherWay": "You have signed in with this e-mail in another way before. Use that way.",
  "signIn.secondFactor":
    "This account needs a second factor, which this page does not support. Use another account or a key.",
  "signIn.again": "You have been signed out everywhere. Sign in again.",
  "signIn.failed": "Signing in failed: {detail}",
  "signIn.sent": "If there is such an account, an e-mail with a link to set a new password is on its way.",
  "live.not-owner": "This name belongs to another account. Choose another name.",
  "live.too-many-names": "Your account has as many names as it may have. Use one of them.",
  "live.too-many-broadcasts":
    "Your account already has as many broadcasts as it may have at the same time. End another one first.",
  "live.kept-by-keys":
    "This name is used with keys of this server. Choose another " +
    "name, or ask the operator to give it to your account.",
  "live.account-disabled": "Your account has been disabled. Ask the operator of this server.",
  "live.signed-out": "You have been signed out everywhere. Sign out here, then sign in again.",
  "live.sign-in-unreachable":
    "The sign-in service does not answer, so the server cannot tell who you are. Try again in a moment.",
};
