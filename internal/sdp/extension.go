package sdp

// URINumber names the header extension with the transport-wide number, which feedback refers to
// (draft-holmer-rmcat-transport-wide-cc-extensions-01).
const URINumber = "http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01"

// URIDescriptor names the dependency descriptor (RTP Payload Format For AV1, version 1.0, appendix A).
const URIDescriptor = "https://aomediacodec.github.io/av1-rtp-spec/#dependency-descriptor-rtp-header-extension"
