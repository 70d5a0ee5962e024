// Command login-program shows how a program of your own decides who signs in to
// Moorgate (docs/login/program.md). Put your own users where users.go has a file.
//
//	login-program -hash <password            makes a hash for the file of users
//	login-program -users FILE                answers one question: login: exec
//	login-program -users FILE -listen ADDR   answers questions over HTTP: login: webhook
package main

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"strings"
)

func main() {
	if err := run(); err != nil {
		// Not the question: there is a password in it.
		fmt.Fprintln(os.Stderr, "login-program:", err)
		os.Exit(1)
	}
}

func run() error {
	hash := flag.Bool("hash", false, "read a password, and print its hash")
	file := flag.String("users", "users.json", "the `FILE` of users")
	var s server
	flag.StringVar(&s.listen, "listen", "", "the `ADDRESS` to answer webhooks at; without it one question is read from standard input")
	flag.StringVar(&s.secretFile, "secret", "webhook.secret", "the `FILE` with the secret of webhooks")
	flag.StringVar(&s.cert, "cert", "", "the `FILE` of the certificate; without it the server speaks HTTP")
	flag.StringVar(&s.key, "key", "", "the `FILE` of its key")
	flag.Parse()
	s.users = *file
	switch {
	case *hash:
		return printHash()
	case s.listen != "":
		return s.run()
	default:
		return answerOne(*file)
	}
}

// answerOne is all that "exec" needs: a question comes in, an answer goes out.
func answerOne(file string) error {
	var q Question
	if err := json.NewDecoder(os.Stdin).Decode(&q); err != nil {
		return errors.New("there is no question on standard input")
	}
	users, err := readUsers(file)
	if err != nil {
		return err // and end with another code than 0: nobody can tell now
	}
	return json.NewEncoder(os.Stdout).Encode(users.answer(q))
}

func printHash() error {
	password, err := io.ReadAll(os.Stdin)
	if err != nil {
		return err
	}
	text, err := hashOf(strings.TrimRight(string(password), "\r\n"))
	if err == nil {
		fmt.Println(text)
	}
	return err
}
