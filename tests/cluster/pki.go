package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"flag"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// lifetime is longer than any test cluster should stand.
const lifetime = 365 * 24 * time.Hour

// authority signs the certificates of one cluster.
type authority struct {
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
	directory   string
}

// runPKI writes one cluster's certificates: a CA, the serving certificates of
// the API server and the kubelet, a client certificate for each component and
// for the administrator, and the key that signs ServiceAccount tokens. It is
// here because Python's standard library cannot make certificates, and asking
// for openssl would add a tool to install.
func runPKI() int {
	flags := flag.NewFlagSet("pki", flag.ExitOnError)
	directory := flags.String("directory", "", "where to write NAME.crt and NAME.key")
	hosts := flags.String("hosts", "", "comma-separated names and addresses of the API server")
	node := flags.String("node", "", "name of the node")
	nodeAddress := flags.String("node-address", "", "address of the kubelet")
	_ = flags.Parse(os.Args[1:]) // exits on an error
	if err := writePKI(*directory, strings.Split(*hosts, ","), *node, *nodeAddress); err != nil {
		fmt.Fprintln(os.Stderr, "pki:", err)
		return 1
	}
	return 0
}

func writePKI(directory string, hosts []string, node, nodeAddress string) error {
	ca, err := newAuthority(directory)
	if err != nil {
		return err
	}
	clients := map[string]pkix.Name{
		// The groups and names are those that Kubernetes' built-in roles are bound to.
		"admin":                   {CommonName: "admin", Organization: []string{"system:masters"}},
		"apiserver-kubelet":       {CommonName: "kube-apiserver", Organization: []string{"system:masters"}},
		"kube-controller-manager": {CommonName: "system:kube-controller-manager"},
		"kube-scheduler":          {CommonName: "system:kube-scheduler"},
		"kube-proxy":              {CommonName: "system:kube-proxy"},
		"coredns":                 {CommonName: "system:coredns"},
		"kubelet":                 {CommonName: "system:node:" + node, Organization: []string{"system:nodes"}},
	}
	for name, subject := range clients {
		if err := ca.issue(name, subject, nil, x509.ExtKeyUsageClientAuth); err != nil {
			return err
		}
	}
	apiserver := pkix.Name{CommonName: "kube-apiserver"}
	if err := ca.issue("apiserver", apiserver, hosts, x509.ExtKeyUsageServerAuth); err != nil {
		return err
	}
	kubelet := pkix.Name{CommonName: "system:node:" + node}
	if err := ca.issue("kubelet-serving", kubelet, []string{node, nodeAddress}, x509.ExtKeyUsageServerAuth); err != nil {
		return err
	}
	serviceAccounts, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	return writeKey(filepath.Join(directory, "service-accounts.key"), serviceAccounts)
}

func newAuthority(directory string) (*authority, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		Subject:               pkix.Name{CommonName: "local-cluster"},
		IsCA:                  true,
		BasicConstraintsValid: true,
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageCRLSign | x509.KeyUsageDigitalSignature,
	}
	ca := &authority{certificate: template, key: key, directory: directory}
	// What was signed, unlike the template, carries the key identifier that the
	// certificates under it must repeat: strict clients refuse those that don't.
	ca.certificate, err = ca.sign("ca", template, key)
	return ca, err
}

func (ca *authority) issue(name string, subject pkix.Name, hosts []string, usage x509.ExtKeyUsage) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	template := &x509.Certificate{
		Subject:     subject,
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{usage},
	}
	for _, host := range hosts {
		if address := net.ParseIP(host); address != nil {
			template.IPAddresses = append(template.IPAddresses, address)
		} else if host != "" {
			template.DNSNames = append(template.DNSNames, host)
		}
	}
	_, err = ca.sign(name, template, key)
	return err
}

// sign completes the template, signs it and writes NAME.crt and NAME.key.
func (ca *authority) sign(name string, template *x509.Certificate, key *ecdsa.PrivateKey) (*x509.Certificate, error) {
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 64))
	if err != nil {
		return nil, err
	}
	template.SerialNumber = serial
	template.NotBefore = time.Now().Add(-time.Minute) // for clocks that differ a little
	template.NotAfter = template.NotBefore.Add(lifetime)
	der, err := x509.CreateCertificate(rand.Reader, template, ca.certificate, &key.PublicKey, ca.key)
	if err != nil {
		return nil, err
	}
	block := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	if err := os.WriteFile(filepath.Join(ca.directory, name+".crt"), block, 0o644); err != nil {
		return nil, err
	}
	if err := writeKey(filepath.Join(ca.directory, name+".key"), key); err != nil {
		return nil, err
	}
	return x509.ParseCertificate(der)
}

func writeKey(path string, key *ecdsa.PrivateKey) error {
	der, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		return err
	}
	return os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: der}), 0o600)
}
