// Command manifests reads files for Kubernetes as strictly as its API server does: a field that does not exist, comes
// twice or has the wrong type is an error. manifests FILE...
package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	apps "k8s.io/api/apps/v1"
	autoscaling "k8s.io/api/autoscaling/v2"
	core "k8s.io/api/core/v1"
	policy "k8s.io/api/policy/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer/json"
	"k8s.io/apimachinery/pkg/util/yaml"
)

func main() {
	failed := false
	for _, path := range os.Args[1:] {
		if strings.HasSuffix(path, "kustomization.yaml") { // not for the API server
			continue
		}
		if err := check(path); err != nil {
			fmt.Fprintf(os.Stderr, "%s: %v\n", path, err)
			failed = true
		}
	}
	if failed {
		os.Exit(1)
	}
}

func check(path string) error {
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{
		apps.AddToScheme, autoscaling.AddToScheme, core.AddToScheme, policy.AddToScheme,
	} {
		if err := add(scheme); err != nil {
			return err
		}
	}
	strict := json.NewSerializerWithOptions(json.DefaultMetaFactory, scheme, scheme,
		json.SerializerOptions{Yaml: true, Strict: true})
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer file.Close() // was only read
	var wrong []error
	for documents := yaml.NewDocumentDecoder(file); ; {
		text, err := next(documents)
		if errors.Is(err, io.EOF) {
			return errors.Join(wrong...)
		}
		if err != nil {
			return err
		}
		if _, kind, err := strict.Decode(text, nil, nil); err != nil {
			wrong = append(wrong, fmt.Errorf("%v: %w", kind, err))
		}
	}
}

const maxDocument = 1 << 20

func next(documents io.Reader) ([]byte, error) {
	buffer := make([]byte, maxDocument)
	n, err := documents.Read(buffer)
	return bytes.TrimSpace(buffer[:n]), err
}
