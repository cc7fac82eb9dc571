// Package siaran is the domain of the broadcast server: what is live, its packets, and its viewers. It has no network,
// no HTTP and no database.
//
// A broadcaster's session (package ingest) calls [Hub.Publish] and gets a [Publication] with one [Writer] per [Layer].
// What it writes becomes immutable [Packet] values in the layer's ring. A viewer's session (package egress) asks
// [Hub.Broadcast] for the [Broadcast], reads its layers at its own pace, and is woken when there is more. The ring has
// three jobs: it is the live edge, the store that losses are repaired from, and the cache of the current group of
// pictures, from which new viewers start.
//
// A [Broadcast] outlives the session that feeds it. When a broadcaster vanishes, the broadcast stays interrupted for a
// grace time, and the next session of the same owner continues the same layers. Their sequence numbers and timestamps
// never jump. After the broadcaster has stopped, viewers may stay for the next broadcast ([Hub.KeepViewers]).
//
// The package uses the standard library only. What it has to know about codecs (where frames and key frames begin, and
// which temporal and spatial layer a packet belongs to) comes from a [Framer], which the caller of [NewHub] supplies.
//
// A [Feed] of the hub reports what changes. The package listing writes that to a [Listing]: what is live and who
// watches, for every reader and across servers.
package siaran
