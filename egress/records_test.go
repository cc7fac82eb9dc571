package egress

func fragmentRecord(seq, message, total, offset, length int) []byte {
	b := make([]byte, 25+length)
	copy(b, []byte{22, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, byte(seq >> 8), byte(seq), 0, byte(12 + length), 16})
	b[14], b[15], b[16] = byte(total>>16), byte(total>>8), byte(total)
	b[17], b[18] = byte(message>>8), byte(message)
	b[19], b[20], b[21], b[24] = byte(offset>>16), byte(offset>>8), byte(offset), byte(length)
	return b
}

func clientHelloRecord() []byte {
	body := append([]byte{0xfe, 0xfd}, make([]byte, 32)...)
	body = append(body, 0, 0, 0, 2, 0xc0, 0x2b, 1, 0) // no session, no cookie, one suite, no compression
	extensions := []byte{0, 14, 0, 5, 0, 2, 0, 7, 0, 0, 10, 0, 4, 0, 2, 0, 23, 0, 11, 0, 2, 1, 0, 0, 13, 0, 4, 0, 2, 4, 3}
	body = append(append(body, 0, byte(len(extensions))), extensions...)
	message := append([]byte{1, 0, 0, byte(len(body)), 0, 0, 0, 0, 0, 0, 0, byte(len(body))}, body...)
	return append([]byte{22, 0xfe, 0xff, 0, 0, 0, 0, 0, 0, 0, 0, 0, byte(len(message))}, message...)
}
