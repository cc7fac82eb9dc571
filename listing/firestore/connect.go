package firestore

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"time"

	"siaran/listing"

	"cloud.google.com/go/firestore"
	firebase "firebase.google.com/go/v4"
	"google.golang.org/api/option"
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/status"
)

const emulatorVariable = "FIRESTORE_EMULATOR_HOST"

// reconnect limits how long it takes to notice that the database is back.
var reconnect = grpc.WithConnectParams(grpc.ConnectParams{
	Backoff: backoff.Config{
		BaseDelay: 200 * time.Millisecond, Multiplier: 1.6, Jitter: 0.2, MaxDelay: time.Second,
	},
	MinConnectTimeout: 3 * time.Second,
})

// alive finds connections that are dead but were never closed. It is not used with the emulator, which takes frequent
// pings for an attack.
var alive = grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: 30 * time.Second, Timeout: 10 * time.Second})

// emulatorRights are the credentials of a server's library, to which the emulator applies no rules.
type emulatorRights struct{}

func (emulatorRights) GetRequestMetadata(context.Context, ...string) (map[string]string, error) {
	return map[string]string{"authorization": "Bearer owner"}, nil
}

func (emulatorRights) RequireTransportSecurity() bool { return false }

// environment guards the moment in which connect hides the emulator's variable from Google's library.
var environment sync.Mutex

// hideEmulator hides the emulator's variable from Google's library until restore is called, and returns its value. With
// the variable, firestore.NewClient (v1.18) always dials a connection of its own, which takes minutes to come back
// after an outage and cannot be closed; there is no option against that.
func hideEmulator() (host string, restore func()) {
	environment.Lock()
	host, set := os.LookupEnv(emulatorVariable)
	if !set {
		return "", environment.Unlock
	}
	_ = os.Unsetenv(emulatorVariable) // fails only for a name that is not possible
	return host, func() {
		_ = os.Setenv(emulatorVariable, host)
		environment.Unlock()
	}
}

func connect(ctx context.Context, cfg Config, listenErrors *listenErrors) (_ *firestore.Client, err error) {
	ctx = context.WithoutCancel(ctx) // the client keeps it to renew its credentials
	host, restore := hideEmulator()
	defer restore()
	if cfg.Emulator == "" {
		cfg.Emulator = host
	}
	intercept := grpc.WithChainStreamInterceptor(listenErrors.intercept)
	var options []option.ClientOption
	switch {
	case cfg.Emulator != "":
		conn, err := grpc.NewClient("passthrough:///"+strings.TrimPrefix(cfg.Emulator, "http://"),
			append(cfg.dial, reconnect, intercept, grpc.WithTransportCredentials(insecure.NewCredentials()),
				grpc.WithPerRPCCredentials(emulatorRights{}))...)
		if err != nil {
			return nil, err
		}
		defer func() {
			if err != nil {
				_ = conn.Close()
			}
		}()
		options = append(options, option.WithGRPCConn(conn))
		if cfg.Project == "" {
			cfg.Project = "demo-siaran"
		}
	case cfg.Credentials != "":
		options = append(options, option.WithAuthCredentialsFile(option.ServiceAccount, cfg.Credentials))
		fallthrough
	default:
		options = append(options, option.WithGRPCDialOption(reconnect), option.WithGRPCDialOption(alive),
			option.WithGRPCDialOption(intercept))
	}
	app, err := firebase.NewApp(ctx, &firebase.Config{ProjectID: cfg.Project}, options...)
	if err != nil {
		return nil, adviceOnCredentials(err)
	}
	client, err := app.Firestore(ctx)
	if err != nil {
		return nil, adviceOnCredentials(err)
	}
	return client, nil
}

// adviceOnCredentials explains why there is no client. Before the first question only the credentials can be wrong.
func adviceOnCredentials(err error) error {
	help := advice(err)
	if help == nil {
		help = errNoCredentials
	}
	return fmt.Errorf("%w (%w)", help, err)
}

var (
	errNoProject     = errors.New("no project is known: set --firebase-project or FIREBASE_PROJECT")
	errNoCredentials = errors.New("there are no credentials that can be read: " +
		"set GOOGLE_APPLICATION_CREDENTIALS to the file of a service account")
	errCredentials = errors.New("the credentials are not accepted: " +
		"check the service account's file, and whether the account is still enabled")
	errNoDatabase = errors.New("the project has no Firestore database: " +
		"create one in native mode in the Firebase console")
	errNotPermitted = errors.New("the service account may not use this database: check the project, " +
		"give the account the role Cloud Datastore User, and see that the Firestore API is enabled")
	errDatastoreMode = errors.New("the database is not in Firestore's native mode: create one that is")
	errQuota         = errors.New("the project's quota is used up, or writes come too fast: " +
		"look at the quotas in the Google Cloud console")
	errAway = errors.New("the Firestore database cannot be reached")
)

// advice returns what can be done about an error, or nil if that is not known.
func advice(err error) error {
	text := err.Error()
	network := strings.Contains(text, "dial tcp") || strings.Contains(text, "no such host") ||
		strings.Contains(text, "timeout")
	switch code := status.Code(err); {
	case code == codes.Unavailable, code == codes.DeadlineExceeded, errors.Is(err, context.DeadlineExceeded),
		network && code == codes.Unauthenticated:
		return errAway
	case strings.Contains(text, "project id is required"), strings.Contains(text, "unable to detect projectID"):
		return errNoProject
	case strings.Contains(text, "could not find default credentials"):
		return errNoCredentials
	case code == codes.Unauthenticated, strings.Contains(text, "cannot fetch token"):
		return errCredentials
	case code == codes.PermissionDenied:
		return errNotPermitted
	case code == codes.NotFound && strings.Contains(text, "database"):
		return errNoDatabase
	case code == codes.FailedPrecondition && strings.Contains(text, "Datastore Mode"):
		return errDatastoreMode
	case code == codes.FailedPrecondition && strings.Contains(text, "index"):
		return listing.ErrNoIndex
	case code == codes.ResourceExhausted:
		return errQuota
	}
	return nil
}

// permanent reports whether an error will not go away by itself.
func permanent(err error) bool {
	switch advice(err) {
	case errNoProject, errNoCredentials, errCredentials, errNotPermitted, errNoDatabase, errDatastoreMode:
		return true
	}
	return false
}

// plainReason returns an error that anyone may see: without addresses and names of projects.
func plainReason(err error) error {
	if help := advice(err); help != nil {
		return help
	}
	return fmt.Errorf("it answers %q", status.Code(err))
}
