package cluster

import (
	"cmp"
	"slices"
	"strings"

	"siaran"
)

const (
	softLimit = 0.8 // of the capacity: above it viewers go elsewhere if there is room

	// A stream is on one more server of a region for so many viewers there. One copy between servers is little beside
	// that, and the servers in front of a rush need not agree on anything.
	worthAServer = 20

	// A server of a region, its head, pulls a stream from afar for so many others of the region.
	worthAHead = 32
)

// weight says how much a server is a stream's (rendezvous hashing): the highest wins, and when a server comes or goes,
// only the streams that it wins or has won move. It is the same on all servers, and must stay so in later versions.
func weight(stream siaran.StreamName, node string) uint64 {
	h := uint64(14695981039346656037) // FNV-1a
	add := func(s string) {
		for i := range len(s) {
			h = (h ^ uint64(s[i])) * 1099511628211
		}
	}
	add(string(stream))
	add("\x00")
	add(node)
	h = (h ^ h>>33) * 0xff51afd7ed558ccd // its last bytes must reach all bits (the finalizer of MurmurHash3)
	h = (h ^ h>>33) * 0xc4ceb9fe1a85ec53
	return h ^ h>>33
}

// Rank puts servers into the order in which they are a stream's, all servers of a cluster into the same one.
func Rank(stream siaran.StreamName, nodes []siaran.Node) []siaran.Node {
	type ranked struct {
		weight uint64
		index  int
	}
	order := make([]ranked, len(nodes))
	for i, n := range nodes {
		order[i] = ranked{weight(stream, n.Name), i}
	}
	slices.SortFunc(order, func(a, b ranked) int {
		return cmp.Or(cmp.Compare(b.weight, a.weight), strings.Compare(nodes[a.index].Name, nodes[b.index].Name))
	})
	list := make([]siaran.Node, len(nodes))
	for i, r := range order {
		list[i] = nodes[r.index]
	}
	return list
}

// parents returns the servers from which a server pulls a stream, in the order in which it asks them. nodes are those
// whose lease is valid, origin is where the stream is live. forChild says that another server waits for the stream.
//
// In the region of the origin that comes first, and in another one its heads: the first servers of the region's rank,
// one for 32. Heads, and whoever pulls for another server, ask the origin alone, so that the way is three servers long
// at most and no circle, as long as all know the same servers. While they do not, the servers that are asked refuse.
func parents(
	stream siaran.StreamName, self siaran.Node, origin string, nodes []siaran.Node, forChild bool,
) []siaran.Node {
	var begin siaran.Node
	var near []siaran.Node
	for _, n := range nodes {
		switch {
		case n.Name == self.Name:
		case n.Name == origin:
			begin = n
			continue
		case n.Draining || n.Capacity == 0 || n.URL == "" || n.Region != self.Region:
			continue
		}
		near = append(near, n)
	}
	if begin.URL == "" || origin == self.Name {
		return nil
	}
	ranked := Rank(stream, near)
	heads := min(1+(len(ranked)-1)/worthAHead, len(ranked))
	isSelf := func(n siaran.Node) bool { return n.Name == self.Name }
	if forChild || slices.ContainsFunc(ranked[:heads], isSelf) {
		return []siaran.Node{begin}
	}
	// Each server has its own order of the heads, and the next in rank for when they fail.
	some := Rank(stream+siaran.StreamName("\x00"+self.Name), ranked[:heads])
	for _, n := range ranked[heads:] {
		if !isSelf(n) {
			some = append(some, n)
			break
		}
	}
	some = some[:min(len(some), 2)]
	if begin.Region == self.Region {
		return append([]siaran.Node{begin}, some...)
	}
	return append(some, begin)
}
