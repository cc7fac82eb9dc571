package bench

import "golang.org/x/sys/unix"

// sampleFilter is a classic BPF program that keeps everything but RTP, and of RTP the packets whose sequence number is
// a multiple of sampleOf. The kernel shows it the UDP header (8 bytes) and what follows.
var sampleFilter = []unix.SockFilter{
	{Code: unix.BPF_LD | unix.BPF_B | unix.BPF_ABS, K: 8},                     // first byte (RFC 7983)
	{Code: unix.BPF_JMP | unix.BPF_JGE | unix.BPF_K, K: 128, Jf: 7},           // below: STUN, DTLS
	{Code: unix.BPF_JMP | unix.BPF_JGT | unix.BPF_K, K: 191, Jt: 6},           // above: not ours
	{Code: unix.BPF_LD | unix.BPF_B | unix.BPF_ABS, K: 9},                     // second byte (RFC 5761)
	{Code: unix.BPF_JMP | unix.BPF_JGE | unix.BPF_K, K: 192, Jf: 1},           // below: RTP
	{Code: unix.BPF_JMP | unix.BPF_JGT | unix.BPF_K, K: 223, Jf: 3},           // up to: RTCP
	{Code: unix.BPF_LD | unix.BPF_H | unix.BPF_ABS, K: 10},                    // sequence number
	{Code: unix.BPF_JMP | unix.BPF_JSET | unix.BPF_K, K: sampleOf - 1, Jf: 1}, // a multiple
	{Code: unix.BPF_RET | unix.BPF_K, K: 0},
	{Code: unix.BPF_RET | unix.BPF_K, K: 0xffff},
}

// relayedFilter is sampleFilter for media in ChannelData messages (RFC 8656 section 12.4). It keeps everything else.
var relayedFilter = []unix.SockFilter{
	{Code: unix.BPF_LD | unix.BPF_B | unix.BPF_ABS, K: 8},                     // first byte
	{Code: unix.BPF_JMP | unix.BPF_JGE | unix.BPF_K, K: 0x40, Jf: 10},         // below: STUN
	{Code: unix.BPF_JMP | unix.BPF_JGT | unix.BPF_K, K: 0x4f, Jt: 9},          // above: not ours
	{Code: unix.BPF_LD | unix.BPF_B | unix.BPF_ABS, K: 12},                    // first byte of the data
	{Code: unix.BPF_JMP | unix.BPF_JGE | unix.BPF_K, K: 128, Jf: 7},           // from here as above
	{Code: unix.BPF_JMP | unix.BPF_JGT | unix.BPF_K, K: 191, Jt: 6},           //
	{Code: unix.BPF_LD | unix.BPF_B | unix.BPF_ABS, K: 13},                    //
	{Code: unix.BPF_JMP | unix.BPF_JGE | unix.BPF_K, K: 192, Jf: 1},           //
	{Code: unix.BPF_JMP | unix.BPF_JGT | unix.BPF_K, K: 223, Jf: 3},           //
	{Code: unix.BPF_LD | unix.BPF_H | unix.BPF_ABS, K: 14},                    //
	{Code: unix.BPF_JMP | unix.BPF_JSET | unix.BPF_K, K: sampleOf - 1, Jf: 1}, //
	{Code: unix.BPF_RET | unix.BPF_K, K: 0},
	{Code: unix.BPF_RET | unix.BPF_K, K: 0xffff},
}

func setFilter(fd int, program []unix.SockFilter) error {
	return unix.SetsockoptSockFprog(fd, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER,
		&unix.SockFprog{Len: uint16(len(program)), Filter: &program[0]})
}
