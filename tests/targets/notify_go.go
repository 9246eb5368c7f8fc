// A Go program for the notify door: a file of 1000 lines, one write each, and
// 100 round trips over loopback.  Its exit status says what failed.
package main

import (
	"fmt"
	"io"
	"net"
	"os"
)

func fail(status int, what string, err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, what, err)
		os.Exit(status)
	}
}

func serve(listener net.Listener) {
	for {
		conn, err := listener.Accept()
		if err != nil {
			continue
		}
		go func() {
			io.Copy(conn, conn)
			conn.Close()
		}()
	}
}

func main() {
	file, err := os.Create("go.out")
	fail(11, "create", err)
	for i := 0; i < 1000; i++ {
		_, err = fmt.Fprintf(file, "line %d\n", i)
		fail(12, "write", err)
	}
	fail(13, "sync", file.Sync())
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	fail(14, "listen", err)
	go serve(listener)
	conn, err := net.Dial("tcp", listener.Addr().String())
	fail(15, "dial", err)
	echo := make([]byte, 5)
	for i := 0; i < 100; i++ {
		_, err = conn.Write([]byte("hello"))
		fail(16, "send", err)
		_, err = io.ReadFull(conn, echo)
		fail(17, "receive", err)
	}
	fmt.Println("ok")
}
