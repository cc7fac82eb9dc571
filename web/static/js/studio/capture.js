// @ts-check
// Camera, microphone and screen.
import { qualities } from "./model.js";

/** @import { Quality, Source } from "./model.js" */

/** @typedef {"insecure" | "denied" | "none" | "busy" | "cancelled" | "failed"} CaptureFault */

/** @type {Record<string, CaptureFault>} */
const faults = {
  NotAllowedError: "denied", SecurityError: "denied", NotFoundError: "none", OverconstrainedError: "none",
  NotReadableError: "busy", AbortError: "busy",
};

export class CaptureError extends Error {
  /**
   * @param {CaptureFault} fault
   * @param {string} [detail]
   */
  constructor(fault, detail = "") {
    super(detail);
    this.fault = fault;
  }

  /**
   * from makes a CaptureError of whatever the browser has thrown.
   * @param {unknown} error
   * @param {Source} source
   */
  static from(error, source) {
    if (error instanceof CaptureError) return error;
    const { name, message } = error instanceof Error ? error : new Error(String(error));
    const cancelled = source === "screen" && name === "NotAllowedError";
    return new CaptureError(cancelled ? "cancelled" : (faults[name] ?? "failed"), message);
  }
}

/**
 * capture opens what was chosen, or throws a CaptureError.
 * @param {object} choice
 * @param {Source} choice.source
 * @param {string} choice.camera a device id, empty for the browser's choice
 * @param {string} choice.microphone the same
 * @param {boolean} choice.audio false for no microphone
 * @param {Quality} choice.quality
 */
export async function capture({ source, camera, microphone, audio, quality }) {
  if (!navigator.mediaDevices?.getUserMedia) throw new CaptureError("insecure");
  const { width, height } = qualities[quality];
  const plain = source === "sound"; // music may be meant: nothing is to be filtered away
  const sound = audio && {
    deviceId: microphone ? { exact: microphone } : undefined,
    channelCount: { ideal: 2 }, echoCancellation: !plain, noiseSuppression: !plain,
  };
  const picture = {
    deviceId: camera ? { exact: camera } : undefined,
    width: { ideal: width }, height: { ideal: height }, frameRate: { ideal: 30, max: 30 },
  };
  try {
    if (source === "screen") return await captureScreen(width, height, sound);
    const stream = await navigator.mediaDevices.getUserMedia({
      video: source === "camera" && picture, audio: source === "sound" ? sound || true : sound,
    });
    for (const track of stream.getVideoTracks()) track.contentHint = "motion";
    return stream;
  } catch (error) {
    throw CaptureError.from(error, source);
  }
}

/**
 * @param {number} width
 * @param {number} height
 * @param {MediaTrackConstraints | false} sound of the microphone
 */
async function captureScreen(width, height, sound) {
  if (!navigator.mediaDevices.getDisplayMedia) throw new CaptureError("failed", "getDisplayMedia");
  const video = { width: { max: width }, height: { max: height }, frameRate: { max: 30 } };
  const screen = await navigator.mediaDevices.getDisplayMedia({ video, audio: true });
  for (const track of screen.getVideoTracks()) track.contentHint = "detail"; // sharp letters before smooth motion
  if (!sound) return screen;
  let voice;
  try {
    voice = await navigator.mediaDevices.getUserMedia({ audio: sound });
  } catch {
    return screen; // the picture is worth showing without a microphone
  }
  if (!screen.getAudioTracks().length) return new MediaStream([...screen.getVideoTracks(), ...voice.getAudioTracks()]);
  return new MediaStream([...screen.getVideoTracks(), mix([screen, voice])]);
}

/**
 * mix joins the sound of several streams in one track; stopping that stops them.
 * @param {MediaStream[]} streams
 */
function mix(streams) {
  const context = new AudioContext();
  const out = context.createMediaStreamDestination();
  for (const stream of streams) context.createMediaStreamSource(stream).connect(out);
  const [track] = out.stream.getAudioTracks();
  const stop = track.stop.bind(track);
  track.stop = () => {
    stop();
    context.close();
    for (const stream of streams) for (const source of stream.getAudioTracks()) source.stop();
  };
  return track;
}

/** @param {MediaStream} [stream] */
export function release(stream) {
  for (const track of stream?.getTracks() ?? []) track.stop();
}

/** listDevices gives cameras and microphones. Without permission the browser hides their names and ids. */
export async function listDevices() {
  const all = ((await navigator.mediaDevices?.enumerateDevices?.()) ?? []).filter(({ deviceId }) => deviceId);
  return {
    cameras: all.filter(({ kind }) => kind === "videoinput"),
    microphones: all.filter(({ kind }) => kind === "audioinput"),
  };
}

/**
 * meter calls back with the loudness of a stream, 0 to 1, until the function that it returns is called.
 * @param {MediaStream} stream
 * @param {(level: number) => void} show
 */
export function meter(stream, show) {
  if (!stream.getAudioTracks().length) {
    show(0);
    return () => {};
  }
  const context = new AudioContext();
  const analyser = context.createAnalyser();
  analyser.fftSize = 1024;
  context.createMediaStreamSource(stream).connect(analyser);
  const samples = new Float32Array(analyser.fftSize);
  let level = 0;
  const timer = setInterval(() => {
    analyser.getFloatTimeDomainData(samples);
    level = Math.max(loudness(samples), level * 0.85); // falls more slowly than it rises
    show(level);
  }, 50);
  return () => {
    clearInterval(timer);
    context.close();
    show(0);
  };
}

/**
 * loudness is 0 up to -60 dB and 1 from -5 dB.
 * @param {ArrayLike<number>} samples from -1 to 1
 */
export function loudness(samples) {
  let sum = 0;
  for (let i = 0; i < samples.length; i++) sum += samples[i] * samples[i];
  const decibels = 10 * Math.log10(sum / samples.length + 1e-9);
  return Math.min(1, Math.max(0, (decibels + 60) / 55));
}
