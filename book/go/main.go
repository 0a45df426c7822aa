// The book's server once more, in Go with nothing but its standard library, to be laid beside the Rust: signals, a
// graceful shutdown, an upgrade. SIGINT and SIGTERM stop it, SIGUSR2 replaces it.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"strconv"
	"syscall"
	"time"
)

const (
	drainTimeout = 5 * time.Second
	readyTimeout = 10 * time.Second
)

// ANCHOR: main
func main() {
	log.SetFlags(0) // Whoever collects the lines knows the time.
	address := flag.String("listen", "127.0.0.1:48567", "where to listen; port 0 means any free one")
	flag.Parse()
	signals := make(chan os.Signal, 4)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM, syscall.SIGUSR2)

	listener, ready, err := inheritOrListen(*address)
	if err != nil {
		log.Fatalf("error: %v", err)
	}
	server := &http.Server{Handler: handler()}
	exit := make(chan int)
	go func() { exit <- live(server, listener, signals) }()

	log.Printf("listening address=%s pid=%d", listener.Addr(), os.Getpid())
	if ready != nil {
		ready.Write([]byte{1})
		ready.Close()
	}
	// It returns when Shutdown begins, not when it is done.
	if err := server.Serve(listener); err != http.ErrServerClosed {
		log.Fatalf("error: %v", err)
	}
	os.Exit(<-exit)
}

// ANCHOR_END: main

// ANCHOR: live
// live waits for signals until the server has to end, ends it, and returns the exit status.
func live(server *http.Server, listener *net.TCPListener, signals <-chan os.Signal) int {
	for sig := range signals {
		if sig != syscall.SIGUSR2 {
			break
		}
		err := upgrade(listener)
		if err == nil {
			break
		}
		log.Printf("upgrade failed, pid %d serves on: %v", os.Getpid(), err)
	}
	// The next one does what it does by default: it ends the process.
	signal.Reset(syscall.SIGINT, syscall.SIGTERM)

	log.Printf("draining pid=%d timeout=%s", os.Getpid(), drainTimeout)
	deadline, cancel := context.WithTimeout(context.Background(), drainTimeout)
	defer cancel()
	if err := server.Shutdown(deadline); err != nil {
		log.Printf("the rest is cut: %v", err)
		return 3
	}
	return 0
}

// ANCHOR_END: live

// ANCHOR: upgrade
// upgrade starts the program anew with the listener, and returns once the new process says that it is ready.
func upgrade(listener *net.TCPListener) error {
	program, err := os.Executable()
	if err != nil {
		return err
	}
	file, err := listener.File()
	if err != nil {
		return err
	}
	defer file.Close()
	answer, ready, err := os.Pipe()
	if err != nil {
		return err
	}
	defer answer.Close()

	child := exec.Command(program, os.Args[1:]...)
	child.Stdout, child.Stderr = os.Stdout, os.Stderr
	child.ExtraFiles = []*os.File{file, ready} // They become 3 and 4.
	next := fmt.Sprintf("GENERATION=%d", generation()+1)
	child.Env = append(os.Environ(), "LISTEN_FDS=2", "LISTEN_FDNAMES=zero:ready", next)
	err = child.Start()
	ready.Close() // As long as we hold this end, that of a child that dies is no end.
	keepNonblocking(listener)
	if err != nil {
		return err
	}
	answer.SetReadDeadline(time.Now().Add(readyTimeout))
	if _, err := io.ReadFull(answer, make([]byte, 1)); err != nil {
		child.Process.Kill()
		return fmt.Errorf("the child is not ready: %v; it ended with: %v", err, child.Wait())
	}
	go child.Wait() // If it ends before us, it does not stay a zombie.
	return nil
}

// ANCHOR_END: upgrade

// ANCHOR: nonblocking
// keepNonblocking mends what Start did: it took O_NONBLOCK from the socket, which is shared by every descriptor of it.
func keepNonblocking(listener *net.TCPListener) {
	if socket, err := listener.SyscallConn(); err == nil {
		socket.Control(func(fd uintptr) { syscall.SetNonblock(int(fd), true) })
	}
}

// ANCHOR_END: nonblocking

// ANCHOR: inherit
// inheritOrListen returns the listener that came through exec, and the pipe on which to say ready; or it binds.
func inheritOrListen(address string) (*net.TCPListener, *os.File, error) {
	count, names := os.Getenv("LISTEN_FDS"), os.Getenv("LISTEN_FDNAMES")
	for _, variable := range []string{"LISTEN_FDS", "LISTEN_FDNAMES", "LISTEN_PID"} {
		os.Unsetenv(variable)
	}
	if count == "" {
		listener, err := net.Listen("tcp", address)
		if err != nil {
			return nil, nil, err
		}
		return listener.(*net.TCPListener), nil, nil
	}
	file := os.NewFile(3, "zero")
	defer file.Close() // FileListener makes a copy, and that one is CLOEXEC.
	listener, err := net.FileListener(file)
	if err != nil {
		return nil, nil, fmt.Errorf("descriptor 3: %w", err)
	}
	tcp, ok := listener.(*net.TCPListener)
	if !ok {
		return nil, nil, fmt.Errorf("descriptor 3 is bound to %s, which is not TCP", listener.Addr())
	}
	if names != "zero:ready" {
		return tcp, nil, nil
	}
	return tcp, os.NewFile(4, "ready"), nil
}

// ANCHOR_END: inherit

// generation is 1 for the first process, and one more with each upgrade.
func generation() int {
	number, err := strconv.Atoi(os.Getenv("GENERATION"))
	if err != nil {
		return 1
	}
	return number
}

func handler() http.Handler {
	started := time.Now()
	mux := http.NewServeMux()
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("x-generation", strconv.Itoa(generation()))
		fmt.Fprintf(w, "hello from pid %d, generation %d\n", os.Getpid(), generation())
	})
	mux.HandleFunc("/sleep/", func(w http.ResponseWriter, r *http.Request) {
		duration, err := time.ParseDuration(r.FormValue("duration"))
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		time.Sleep(duration)
		fmt.Fprintf(w, "zero started at %s slept for %d nanoseconds from pid %d.\n",
			started.Format(time.RFC3339), duration.Nanoseconds(), os.Getpid())
	})
	return mux
}
