// GET the model, then POST each file in order on one client; a line with status and body for each answer.
// Arguments: address, folder, and the authority's certificate for https.
package main

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"sort"
	"time"
)

func main() {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	if len(os.Args) > 3 {
		pem, err := os.ReadFile(os.Args[3])
		must(err)
		pool := x509.NewCertPool()
		pool.AppendCertsFromPEM(pem)
		transport.TLSClientConfig = &tls.Config{RootCAs: pool}
	}
	client := &http.Client{Transport: transport, Timeout: 20 * time.Second}
	model := os.Args[1] + "/v2/models/model"
	show(client.Get(model))
	files, err := filepath.Glob(filepath.Join(os.Args[2], "*"))
	must(err)
	sort.Strings(files)
	for _, file := range files {
		body, err := os.ReadFile(file)
		must(err)
		show(client.Post(model+"/infer", "application/json", bytes.NewReader(body)))
	}
}

func show(answer *http.Response, err error) {
	must(err)
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	must(err)
	fmt.Println(answer.StatusCode, string(body))
}

func must(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
