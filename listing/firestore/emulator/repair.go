package emulator

import (
	"context"
	"strings"

	pb "cloud.google.com/go/firestore/apiv1/firestorepb"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"
)

// Repair is a [grpc.UnaryClientInterceptor] against a fault of the emulator. When a listener is cancelled at the moment
// at which the emulator would tell it of a write, the write is done, but fails with a code that the database never
// gives. Repair makes of it what the database answers: a commit has succeeded, and a batch goes on.
func Repair(ctx context.Context, method string, request, reply any, conn *grpc.ClientConn, invoke grpc.UnaryInvoker,
	options ...grpc.CallOption,
) error {
	for {
		err := invoke(ctx, method, request, reply, conn, options...)
		if !faulty(err) || ctx.Err() != nil {
			return err
		}
		switch r := request.(type) {
		case *pb.BatchWriteRequest: // which does not say how many are done
		case *pb.CommitRequest:
			done := &pb.CommitResponse{CommitTime: timestamppb.Now()}
			for _, w := range r.Writes {
				at, err := updateTime(ctx, conn, r.Database, w)
				if err != nil {
					return err
				}
				done.WriteResults = append(done.WriteResults, &pb.WriteResult{UpdateTime: at})
			}
			proto.Merge(reply.(*pb.CommitResponse), done)
			return nil
		default:
			return err
		}
	}
}

// faulty reports whether an error is the emulator's own, which a call that writes is given for a listener.
func faulty(err error) bool {
	s := status.Convert(err)
	return s.Code() == codes.Canceled && strings.Contains(s.Message(), "ServerCallStreamObserver") ||
		s.Code() == codes.Unknown && s.Message() == ""
}

// updateTime asks when a document was written that a write has just changed. It is nil for one that has been deleted.
func updateTime(ctx context.Context, conn *grpc.ClientConn, database string, w *pb.Write,
) (*timestamppb.Timestamp, error) {
	if w.GetUpdate() == nil {
		return nil, nil
	}
	answers, err := pb.NewFirestoreClient(conn).BatchGetDocuments(ctx, &pb.BatchGetDocumentsRequest{
		Database: database, Documents: []string{w.GetUpdate().GetName()}, Mask: &pb.DocumentMask{},
	})
	if err != nil {
		return nil, err
	}
	answer, err := answers.Recv()
	return answer.GetFound().GetUpdateTime(), err
}
