// What browsers have and TypeScript's own declarations lack.

// The Network Information API.
interface Navigator {
  readonly connection?: EventTarget & { readonly type?: string };
}

// Full screen of a video element on iPhones.
interface HTMLVideoElement {
  webkitEnterFullscreen?(): void;
}

// Which relay a candidate came through: https://www.w3.org/TR/webrtc/#rtcicecandidate-interface
interface RTCIceCandidate {
  readonly relayProtocol?: string | null;
  readonly url?: string | null;
}

// A key frame on request: https://w3c.github.io/webrtc-extensions/#rtcrtpencodingoptions-dictionary
interface RTCRtpSender {
  setParameters(
    parameters: RTCRtpSendParameters,
    options?: { encodingOptions?: { keyFrame?: boolean }[] },
  ): Promise<void>;
}

// Header extensions: https://www.w3.org/TR/webrtc-extensions/#rtcrtptransceiver-interface-extensions
interface RTCRtpTransceiver {
  getHeaderExtensionsToNegotiate?(): { uri: string; direction: RTCRtpTransceiverDirection }[];
  setHeaderExtensionsToNegotiate?(
    extensions: { uri: string; direction: RTCRtpTransceiverDirection }[] | undefined,
  ): void;
}

// The members of the reports of getStats() that the pages read: https://www.w3.org/TR/webrtc-stats/
interface PageStats {
  id: string;
  type: string;
  timestamp: number; // milliseconds
  kind?: "audio" | "video";
  state?: string;
  codecId?: string;
  mimeType?: string;
  nominated?: boolean;
  selected?: boolean; // Firefox
  selectedCandidatePairId?: string;
  localCandidateId?: string;
  remoteCandidateId?: string;
  candidateType?: string;
  protocol?: string;
  relayProtocol?: string;
  currentRoundTripTime?: number; // seconds
  availableOutgoingBitrate?: number; // bits per second
  roundTripTime?: number; // seconds
  requestsSent?: number;
  responsesReceived?: number;
  fractionLost?: number;
  packetsReceived?: number;
  packetsLost?: number;
  bytesReceived?: number;
  bytesSent?: number;
  framesDecoded?: number;
  framesSent?: number;
  framesPerSecond?: number;
  frameWidth?: number;
  frameHeight?: number;
  freezeCount?: number;
  totalDecodeTime?: number;
  jitterBufferDelay?: number;
  jitterBufferEmittedCount?: number;
  qualityLimitationReason?: string;
}

type PageStatsReport = ReadonlyMap<string, PageStats>;

// Layers within one encoding: https://w3c.github.io/webrtc-svc/
interface RTCRtpEncodingParameters {
  scalabilityMode?: string;
}
