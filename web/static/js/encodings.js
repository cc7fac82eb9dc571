// @ts-check
// What a broadcaster sends of one picture: several sizes of it (simulcast, RFC 8853), each with temporal layers, so
// that viewers on slow networks get less of it. VP9, where it is asked for, has the sizes in one encoding (SVC).

/**
 * @typedef {object} Encoding
 * @property {number} scaleResolutionDownBy
 * @property {number} maxBitrate in bits a second
 *
 * @typedef {object} Wanted
 * @property {number} bitrate of the largest size at most, in bits a second
 * @property {boolean} layered whether smaller sizes are sent too
 */

const rids = ["l", "m", "h"];
const temporalModes = ["L1T3", "L1T2"]; // the best first
const spatialMode = "L3T3_KEY"; // frames of different sizes need each other in key frames only
const smallest = 360; // pixels of the short side below which one size is enough
const large = 720; // from which three are worth their upload

/**
 * encodingsOf gives the encodings of a picture, the smallest first. Each has as many bits for a pixel as the largest.
 * @param {MediaStreamTrack} track
 * @param {Wanted} wanted
 * @returns {Encoding[]}
 */
export function encodingsOf(track, { bitrate, layered }) {
  const { width = 0, height = 0 } = track.getSettings();
  const short = Math.min(width, height);
  const scales = !layered || short < smallest ? [1] : isSharp(track) || short < large ? [2, 1] : [4, 2, 1];
  return scales.map((scale) => ({ scaleResolutionDownBy: scale, maxBitrate: Math.round(bitrate / scale ** 2) }));
}

/**
 * addVideo adds a track to be sent, in as many layers as the browser can.
 * @param {RTCPeerConnection} pc
 * @param {MediaStreamTrack} track
 * @param {MediaStream} stream
 * @param {Wanted & { codec?: string }} wanted codec, such as vp9, is the only one offered, if the browser has it
 * @returns {Promise<RTCRtpTransceiver>}
 */
export async function addVideo(pc, track, stream, wanted) {
  const codecs = preferred(wanted.codec);
  const one = { ...encodingsOf(track, { ...wanted, layered: false })[0] };
  const add = (/** @type {RTCRtpEncodingParameters[]} */ sendEncodings) => {
    const transceiver = pc.addTransceiver(track, { direction: "sendonly", streams: [stream], sendEncodings });
    prefer(transceiver, codecs);
    return transceiver;
  };
  if (!wanted.layered) return add([one]);
  const scalable = wanted.codec === "vp9" && /vp9/i.test(codecs[0]?.mimeType ?? "");
  const list = encodingsOf(track, wanted);
  const names = rids.slice(-list.length);
  const sizes = list.length > 1 ? list.map((each, i) => ({ ...each, rid: names[i] })) : [one];
  const mode = await temporalMode(codecs[0], track, wanted.bitrate);
  const layers = mode ? sizes.map((each) => ({ ...each, scalabilityMode: mode })) : sizes;
  /** @type {RTCRtpEncodingParameters[][]} */
  const tries = [layers, sizes, [one]];
  const scalabilityMode = list.length > 1 && !isSharp(track) ? spatialMode : temporalModes[0];
  if (scalable) tries.unshift([{ ...one, scalabilityMode }]);
  for (const encodings of tries) {
    try {
      return add(encodings);
    } catch {
      // The browser cannot send these.
    }
  }
  return add([]);
}

/**
 * adjust brings the parameters of a sender, whose number of encodings cannot change, to what is wanted of its track.
 * @param {RTCRtpSendParameters} parameters
 * @param {MediaStreamTrack} track
 * @param {Wanted} wanted
 */
export function adjust(parameters, track, wanted) {
  const { encodings } = parameters;
  const list = encodingsOf(track, { ...wanted, layered: wanted.layered && encodings.length > 1 });
  list.splice(0, Math.max(0, list.length - encodings.length)); // the largest count
  for (const [i, encoding] of encodings.entries()) {
    const fitting = list[i]; // of few sizes Chromium sends the first encodings, and none of the others
    encoding.active = Boolean(fitting);
    if (!fitting) continue;
    encoding.maxBitrate = fitting.maxBitrate;
    if (encodings.length > 1) encoding.scaleResolutionDownBy = fitting.scaleResolutionDownBy;
  }
  // Chromium sends fewer sizes of a picture that it has made smaller, without the largest.
  const whole = isSharp(track) || list.length > 1;
  parameters.degradationPreference = whole ? "maintain-resolution" : "maintain-framerate";
}

/** @param {MediaStreamTrack} track */
const isSharp = ({ contentHint }) => contentHint === "detail" || contentHint === "text";

/**
 * temporalMode is the best that costs no more than an encoder without layers would: where hardware encodes, not all
 * modes do.
 * @param {RTCRtpCodec | undefined} codec
 * @param {MediaStreamTrack} track
 * @param {number} bitrate
 */
async function temporalMode(codec, track, bitrate) {
  const { width = 0, height = 0, frameRate = 30 } = track.getSettings();
  if (!codec || !width || !height || !navigator.mediaCapabilities?.encodingInfo) return "";
  const { mimeType: contentType } = codec;
  const ask = (/** @type {string} */ scalabilityMode) => navigator.mediaCapabilities.encodingInfo({
    type: "webrtc",
    video: {
      contentType, width, height, bitrate, framerate: frameRate || 30, ...(scalabilityMode && { scalabilityMode }),
    },
  });
  try {
    const plain = await ask("");
    for (const mode of temporalModes) {
      const info = await ask(mode);
      if (info.supported && info.smooth >= plain.smooth && info.powerEfficient >= plain.powerEfficient) return mode;
    }
  } catch {
    // It does not know of such modes.
  }
  return "";
}

const order = ["video/h264", "video/vp8", "video/vp9", "video/av1"];

/**
 * preferred gives the codecs to be offered, those first that every viewer can play.
 * @param {string} [only]
 * @returns {RTCRtpCodec[]}
 */
function preferred(only) {
  const codecs = globalThis.RTCRtpSender?.getCapabilities?.("video")?.codecs ?? [];
  const rank = (/** @type {RTCRtpCodec} */ { mimeType }) => {
    const i = order.indexOf(mimeType.toLowerCase());
    return i < 0 ? order.length : i;
  };
  const usable = codecs.filter(({ mimeType, sdpFmtpLine }) =>
    !/packetization-mode=0/.test(sdpFmtpLine ?? "") && !/red|ulpfec|flexfec/i.test(mimeType));
  usable.sort((a, b) => rank(a) - rank(b));
  const named = usable.filter(({ mimeType }) => only && mimeType.toLowerCase() === `video/${only.toLowerCase()}`);
  return named.length ? [...named, ...usable.filter(({ mimeType }) => /rtx/i.test(mimeType))] : usable;
}

/**
 * @param {RTCRtpTransceiver} transceiver
 * @param {RTCRtpCodec[]} codecs
 */
function prefer(transceiver, codecs) {
  try {
    if (codecs.length) transceiver.setCodecPreferences?.(codecs);
  } catch {
    // The browser's own order does as well.
  }
}
