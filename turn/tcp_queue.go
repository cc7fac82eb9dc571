package turn

import "time"

func (c *tcpConn) answer(b []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.ending && c.room(len(b)) {
		if len(c.pending) == 0 {
			c.begun = c.server.now()
		}
		c.pending = append(c.pending, b...)
		c.server.queued.Add(int64(len(b)))
		c.rouse()
	}
}

func (c *tcpConn) data(b []byte, size int, channel uint16, prefix []byte) (lost int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	now, before := c.server.now(), len(c.pending)
	if before == 0 {
		c.begun = now
	}
	late := now-c.begun > int64(queueTime)
	for len(b) > 0 {
		data := b[:min(size, len(b))]
		b = b[len(data):]
		switch {
		case c.ending || late || !c.room(len(data)+maxFraming):
			lost++
		case channel != 0:
			c.pending = appendChannelData(c.pending, channel, data, true)
		default:
			c.pending = appendIndication(c.pending, prefix, data)
		}
	}
	c.server.queued.Add(int64(len(c.pending) - before))
	c.rouse()
	return lost
}

// maxFraming is the most bytes that framing adds: a Data indication for an IPv6 address.
const maxFraming = stunHeader + 24 + 4 + 3

// room reports whether n more bytes may wait for this client, and for all clients together, where a run of datagrams
// counts once it is queued as a whole. The caller holds mu.
func (c *tcpConn) room(n int) bool {
	l := &c.server.cfg.Limits
	return len(c.pending)+n <= l.Queue && c.server.queued.Load()+int64(n) <= int64(l.AllQueues)
}

// rouse wakes the writer. The caller holds mu.
func (c *tcpConn) rouse() {
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

// write writes what is pending, all of it at once, until the connection is closed.
func (c *tcpConn) write() {
	defer c.server.running.Done()
	defer c.drop()
	var out []byte
	for {
		select {
		case <-c.wake:
		case <-c.dead:
			return
		}
		c.mu.Lock()
		out, c.pending = c.pending, out[:0]
		ending := c.ending
		c.mu.Unlock()
		timeout := c.server.cfg.Limits.Stalled
		if ending {
			timeout = lingerTime
		}
		_ = c.conn.SetWriteDeadline(time.Now().Add(timeout))
		if len(out) > 0 {
			_, err := c.conn.Write(out)
			c.server.queued.Add(-int64(len(out)))
			if err != nil {
				c.server.stats.closedSlow.Add(1)
				c.server.dismiss(c)
				return
			}
		}
		if ending {
			c.server.dismiss(c)
			return
		}
		if cap(out) > maxKept {
			out = nil
		}
	}
}

// drop discards what is pending.
func (c *tcpConn) drop() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ending = true
	c.server.queued.Add(-int64(len(c.pending)))
	c.pending = nil
}

const maxKept = 64 << 10 // bytes; a larger buffer is not kept for the next write

// finish closes the connection once what is pending has been written.
func (c *tcpConn) finish() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ending = true
	_ = c.conn.SetWriteDeadline(time.Now().Add(lingerTime)) // for a write in progress too
	c.rouse()
}
