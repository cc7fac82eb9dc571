// Camera, microphone and screen.

export const qualities = {
  480: { width: 854, height: 480, bitrate: 1_000_000 },
  720: { width: 1280, height: 720, bitrate: 2_500_000 },
  1080: { width: 1920, height: 1080, bitrate: 4_500_000 },
};

const byName = { NotAllowedError: "denied", SecurityError: "denied", NotFoundError: "none", OverconstrainedError: "none", NotReadableError: "busy", AbortError: "busy" };

// CaptureError.kind is insecure, denied, none, busy, cancelled or failed.
export class CaptureError extends Error {
  constructor(kind, detail = "") {
    super(detail);
    this.kind = kind;
  }
}

// capture opens what was chosen: source is camera, screen or sound; audio is false for no microphone.
export async function capture({ source, camera, microphone, audio = true, quality }) {
  if (!navigator.mediaDevices?.getUserMedia) throw new CaptureError("insecure");
  const { width, height } = qualities[quality];
  const sound = audio && { deviceId: microphone ? { exact: microphone } : undefined, channelCount: { ideal: 2 }, echoCancellation: source !== "sound", noiseSuppression: source !== "sound" };
  const picture = { deviceId: camera ? { exact: camera } : undefined, width: { ideal: width }, height: { ideal: height }, frameRate: { ideal: 30, max: 30 } };
  try {
    if (source === "screen") return await captureScreen(width, height, sound);
    const stream = await navigator.mediaDevices.getUserMedia({ video: source === "camera" && picture, audio: source === "sound" ? sound || true : sound });
    for (const track of stream.getVideoTracks()) track.contentHint = "motion";
    return stream;
  } catch (error) {
    if (error instanceof CaptureError) throw error;
    throw new CaptureError(source === "screen" && error.name === "NotAllowedError" ? "cancelled" : (byName[error.name] ?? "failed"), error.message);
  }
}

async function captureScreen(width, height, sound) {
  if (!navigator.mediaDevices.getDisplayMedia) throw new CaptureError("failed", "getDisplayMedia");
  const screen = await navigator.mediaDevices.getDisplayMedia({ video: { width: { max: width }, height: { max: height }, frameRate: { max: 30 } }, audio: true });
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

// mix joins the sound of several streams in one track; stopping it stops them.
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

export function release(stream) {
  for (const track of stream?.getTracks() ?? []) track.stop();
}

// devices lists cameras and microphones; without permission the browser hides their names.
export async function devices() {
  const all = (await navigator.mediaDevices?.enumerateDevices?.()) ?? [];
  return { cameras: all.filter((d) => d.kind === "videoinput"), microphones: all.filter((d) => d.kind === "audioinput") };
}

// meter calls back with the loudness of a stream, 0 to 1, until the returned function is called.
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
    let sum = 0;
    for (const s of samples) sum += s * s;
    const decibels = 10 * Math.log10(sum / samples.length + 1e-9);
    level = Math.max(Math.min(1, (decibels + 60) / 55), level * 0.85); // falls slower than it rises
    show(level);
  }, 50);
  return () => {
    clearInterval(timer);
    context.close();
    show(0);
  };
}
