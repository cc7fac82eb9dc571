// What the server's API sends and takes, as ../../openapi.yaml has it.
declare namespace API {
  type Status = "live" | "interrupted" | "offline";
  type Visibility = "public" | "private";

  interface Stream {
    name: string;
    title: string;
    status: Status;
    startedAt: string | null; // RFC 3339; null when offline
    viewers: number;
    node: string; // the server that has it live
    // The largest layer; sizes are 0 until they are known.
    video: { codec: string; width: number; height: number } | null;
    audio: { codec: string } | null;
    layers: { rid: string; width: number; height: number }[];
  }

  interface StreamDetail extends Stream {
    description: string;
    visibility: Visibility;
    maxViewers: number; // 0: as many as the server allows
    embedSites: string[];
  }

  interface StreamList {
    streams: Stream[];
  }

  // What a viewer gets now, and why.
  interface Viewing {
    rid?: string;
    spatialLayerId: number;
    temporalLayerId: number;
    width: number;
    height: number;
    targetBitrate: number; // bits a second that its path is believed to carry; 0 when that is not known
    automatic: boolean;
    reason: "best" | "bandwidth" | "chosen" | "starting" | "silent layer" | "sound only";
  }

  // GET of a viewer's layers.
  interface ViewerLayers {
    layers: Record<string, { rid?: string; bitrate: number; width?: number; height?: number }[]>;
    viewing: Viewing;
  }

  // The data of GET /api/streams/events, by the name of the event.
  interface StreamEvents {
    snapshot: StreamList;
    stream: Stream;
    gone: { name: string };
    come: { within: number }; // milliseconds
    reconnect: { within: number }; // milliseconds
  }

  type WarningCode =
    | "silent"
    | "tcp"
    | "loss"
    | "keyframes"
    | "no-keyframe"
    | "b-frames"
    | "no-video"
    | "no-audio"
    | "marker"
    | "large-packets"
    | "bitrate"
    | "packets"
    | "upload"
    | "repairs"
    | "profile"
    | "timestamps"
    | "clock"
    | "apart";

  interface LayerHealth {
    kind: "audio" | "video";
    rid?: string;
    codec: string;
    profile?: string;
    level?: string;
    width?: number;
    height?: number;
    bitrate: number; // bits per second
    frameRate?: number;
    packets: number;
    keyframeInterval?: number; // seconds
    lossPercent: number;
    repairedPercent: number;
    queue: number; // seconds
  }

  interface Health {
    since: string;
    connected: boolean;
    silent: boolean;
    transport: string;
    layers: LayerHealth[];
    warnings: { code: WarningCode | string; text: string }[];
  }

  interface AdminBroadcast extends StreamDetail {
    publisher?: string; // the account
    peak?: number; // viewers
    total?: number;
    // Of this server; left out of what is live on another one.
    audience?: {
      viewers: number;
      connecting: number;
      children: number;
      bitrate: number; // bits a second
      loss: number; // share
      roundTrip: number; // seconds
    };
    health?: Health;
  }

  type EndReason = "stopped" | "vanished" | "replaced" | "ended" | "shutdown";

  interface AdminEvent {
    id: number;
    at: string;
    kind:
      | "began" | "interrupted" | "resumed" | "ended" | "kicked" | "banned" | "withdrawn" | "keys" | "edited"
      | "deleted";
    stream: string;
    detail?: EndReason | string; // of an end; or the viewer, or why
  }

  // GET /api/admin
  interface Overview {
    node: string;
    at: string;
    nodes: {
      name: string;
      url?: string;
      here: boolean;
      viewers: number;
      broadcasts: number;
      use: number;
      closed?: string;
    }[];
    broadcasts: AdminBroadcast[];
    events: AdminEvent[];
  }

  interface AdminViewer {
    id: string;
    joinedAt: string;
    path: string;
    rid?: string;
    width: number;
    height: number;
    reason: Viewing["reason"];
    bitrate: number;
    targetBitrate: number;
    loss: number;
    roundTrip: number; // seconds
  }

  // GET /api/admin/streams/NAME/viewers
  interface AdminViewers {
    viewers: AdminViewer[];
    total: number;
  }

  interface Key {
    token: string;
  }

  interface ICE {
    iceServers: RTCIceServer[];
  }

  type ProblemCode =
    | "not-owner"
    | "kept-by-keys"
    | "returning"
    | "draining"
    | "too-many-names"
    | "too-many-broadcasts"
    | "expired"
    | "account-disabled"
    | "signed-out"
    | "sign-in-unreachable"
    | "stream-full"
    | "banned"
    | "unidentified"
    | "site"
    | "joins";

  // RFC 9457
  interface Problem {
    title?: string;
    detail?: string;
    error?: string;
    code?: ProblemCode;
  }
}
