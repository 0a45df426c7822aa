// Go's HTTP/2, of golang.org/x/net, on one connection. It is given an address and a generation; it asks until that one has answered, and
// says when one has answered first. With a file that has a certificate, and `1` or `2`, it speaks that version of HTTP, over Go's own TLS.
package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"strconv"
	"sync"
	"sync/atomic"

	"golang.org/x/net/http2"
)

var asked, answered, dialled, newest, last int64
var scheme = "http://"
var printing sync.Mutex

func ask(client *http.Client, number int64) {
	body := []byte(nil)
	path, method, wanted := "/", "GET", 200
	if number%3 == 2 {
		body = bytes.Repeat([]byte("x"), int(number*7919%60000))
		path, method = "/echo", "POST"
		// The server answers at once, and leaves the body unread. In HTTP/1, this ends the connection.
		if scheme == "http://" && number%4 == 3 {
			path, wanted = "/", 405
		}
	}
	request, err := http.NewRequest(method, scheme+os.Args[1]+path, bytes.NewReader(body))
	if err != nil {
		log.Fatal(err)
	}
	answer, err := client.Do(request)
	if err != nil {
		log.Fatalf("request %d: %v", number, err)
	}
	got, err := io.ReadAll(answer.Body)
	answer.Body.Close()
	if err != nil || answer.StatusCode != wanted || path == "/echo" && !bytes.Equal(got, body) {
		log.Fatalf("request %d: %s, %d bytes, %v", number, answer.Status, len(got), err)
	}
	if scheme == "https://" && (answer.TLS == nil || answer.TLS.Version != tls.VersionTLS13) {
		log.Fatal("that is not TLS 1.3")
	}
	atomic.AddInt64(&answered, 1)
	generation, err := strconv.ParseInt(answer.Header.Get("X-Generation"), 10, 64)
	if err != nil {
		log.Fatal(err)
	}
	printing.Lock()
	defer printing.Unlock()
	if generation > atomic.LoadInt64(&newest) {
		atomic.StoreInt64(&newest, generation)
		fmt.Printf("generation %d answers over %s\n", generation, answer.Proto)
	}
}

// The first connection is the only one.
func once(connection net.Conn, err error) (net.Conn, error) {
	if atomic.AddInt64(&dialled, 1) > 1 {
		log.Fatal("a second connection is asked for")
	}
	return connection, err
}

func plain() (http.RoundTripper, int) {
	dial := func(network, address string, _ *tls.Config) (net.Conn, error) {
		return once(net.Dial(network, address))
	}
	return &http2.Transport{AllowHTTP: true, DialTLS: dial}, 8
}

func encrypted(certificate, version string) (http.RoundTripper, int) {
	scheme = "https://"
	text, err := os.ReadFile(certificate)
	if err != nil {
		log.Fatal(err)
	}
	trusted := x509.NewCertPool()
	trusted.AppendCertsFromPEM(text)
	config := &tls.Config{RootCAs: trusted, ServerName: "localhost"}
	if version == "1" {
		dial := func(_ context.Context, network, address string) (net.Conn, error) {
			return once(tls.Dial(network, address, config))
		}
		return &http.Transport{DialTLSContext: dial}, 1
	}
	dial := func(network, address string, config *tls.Config) (net.Conn, error) {
		return once(tls.Dial(network, address, config))
	}
	return &http2.Transport{TLSClientConfig: config, DialTLS: dial}, 4
}

func main() {
	last, _ = strconv.ParseInt(os.Args[2], 10, 64)
	var transport http.RoundTripper
	var goroutines int
	if len(os.Args) > 3 {
		transport, goroutines = encrypted(os.Args[3], os.Args[4])
	} else {
		transport, goroutines = plain()
	}
	client := &http.Client{Transport: transport}
	var all sync.WaitGroup
	for i := 0; i < goroutines; i++ {
		all.Add(1)
		go func() {
			defer all.Done()
			for atomic.LoadInt64(&newest) < last {
				ask(client, atomic.AddInt64(&asked, 1))
			}
		}()
	}
	all.Wait()
	fmt.Printf("answered=%d\n", answered)
}
