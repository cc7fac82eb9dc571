// Package pionlog keeps the logs of pion's libraries out of ours.
package pionlog

import "github.com/pion/logging"

// Silent makes loggers that log nothing: anyone on the network could fill pion's logs.
var Silent = &logging.DefaultLoggerFactory{
	DefaultLogLevel: logging.LogLevelDisabled, ScopeLevels: map[string]logging.LogLevel{},
}
