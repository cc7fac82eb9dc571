package firestore

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/metadata"

	"siaran/listing/firestore/emulator"
)

// proxy stands in front of an emulator, and can hold or refuse some of the requests.
type proxy struct {
	host string
	to   *grpc.ClientConn

	mu     sync.Mutex
	fault  proxyFault
	cancel map[int]context.CancelFunc // of the calls that run
	calls  int
}

// proxyFault may hold a message until ctx ends, or refuse it by an error.
type proxyFault func(ctx context.Context, method string, message []byte) error

func startProxy(t *testing.T) *proxy {
	t.Helper()
	to, err := grpc.NewClient(
		"passthrough:///"+emulator.Start(t),
		grpc.WithTransportCredentials(insecure.NewCredentials()),
	)
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{host: l.Addr().String(), to: to, cancel: make(map[int]context.CancelFunc)}
	server := grpc.NewServer(grpc.ForceServerCodecV2(asIs{}), grpc.UnknownServiceHandler(p.pass))
	done := make(chan error, 1)
	go func() { done <- server.Serve(l) }()
	t.Cleanup(func() {
		p.set(nil)
		server.Stop()
		<-done
		to.Close()
	})
	return p
}

// set changes what happens to calls, and cancels those that run.
func (p *proxy) set(fault proxyFault) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.fault = fault
	for _, cancel := range p.cancel {
		cancel()
	}
}

func (p *proxy) begin(ctx context.Context) (context.Context, func()) {
	ctx, cancel := context.WithCancel(ctx)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.calls++
	n := p.calls
	p.cancel[n] = cancel
	return ctx, func() {
		cancel()
		p.mu.Lock()
		defer p.mu.Unlock()
		delete(p.cancel, n)
	}
}

func (p *proxy) pass(_ any, from grpc.ServerStream) error {
	method, _ := grpc.MethodFromServerStream(from)
	md, _ := metadata.FromIncomingContext(from.Context())
	ctx, end := p.begin(metadata.NewOutgoingContext(from.Context(), md.Copy()))
	defer end()
	to, err := p.to.NewStream(
		ctx,
		&grpc.StreamDesc{ServerStreams: true, ClientStreams: true},
		method,
		grpc.ForceCodecV2(asIs{}),
	)
	if err != nil {
		return err
	}
	refused := make(chan error, 1)
	go func() {
		for {
			var message []byte
			if from.RecvMsg(&message) != nil {
				to.CloseSend()
				return
			}
			p.mu.Lock()
			fault := p.fault
			p.mu.Unlock()
			if fault != nil {
				if err := fault(ctx, method[strings.LastIndex(method, "/")+1:], message); err != nil {
					refused <- err
					end()
					return
				}
			}
			if to.SendMsg(&message) != nil {
				return
			}
		}
	}()
	for {
		var message []byte
		if err := to.RecvMsg(&message); err != nil {
			select {
			case err = <-refused:
			default:
			}
			if err == io.EOF {
				return nil
			}
			return err
		}
		if err := from.SendMsg(&message); err != nil {
			return err
		}
	}
}

// asIs is a codec that leaves messages as they are.
type asIs struct{}

func (asIs) Name() string { return "proto" }

func (asIs) Marshal(v any) (mem.BufferSlice, error) {
	message, ok := v.(*[]byte)
	if !ok {
		return nil, fmt.Errorf("a message of type %T", v)
	}
	return mem.BufferSlice{mem.SliceBuffer(*message)}, nil
}

func (asIs) Unmarshal(data mem.BufferSlice, v any) error {
	message, ok := v.(*[]byte)
	if !ok {
		return fmt.Errorf("a message of type %T", v)
	}
	*message = data.Materialize()
	return nil
}

// holdViewers holds queries for the documents of viewers until free is closed.
func holdViewers(free <-chan struct{}) proxyFault {
	return func(ctx context.Context, method string, message []byte) error {
		if method == "RunQuery" && bytes.Contains(message, []byte("viewers")) {
			select {
			case <-free:
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		return nil
	}
}
