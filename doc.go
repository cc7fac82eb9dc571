// Package siaran is the domain of the broadcast server: what is live, the packets of
// it, and who watches. It knows no network, no HTTP and no database.
//
// A broadcaster's session (package ingest) calls [Hub.Publish] and gets a [Publication]
// with one [Writer] for each [Layer]. What it writes becomes immutable [Packet] values in
// the layer's ring. A viewer's session (package egress) asks [Hub.Broadcast] for the
// [Broadcast], reads its layers at its own pace, and is woken when there is more. The
// ring is at once the live edge, the store for repair of losses and the cache of the
// current group of pictures, from which a new viewer is started.
//
// A [Broadcast] outlives the session that feeds it: a broadcaster that vanishes leaves it
// interrupted for a grace time, and the next session of the same owner continues the
// same layers, with sequence numbers and timestamps that never jump.
//
// What the two sides have in common is here too: [ParseOffer] and [ParseFragment] read what
// clients send, and a [Framer] finds the key frames in a broadcaster's packets.
//
// Whoever wants to know what changes takes a [Feed] of the hub. The package listing turns
// that into a [Listing]: what is live and who watches, for every reader and across servers.
package siaran
