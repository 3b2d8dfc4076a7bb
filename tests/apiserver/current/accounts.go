// Tokens of service accounts, whose issuer is part of k8s.io/kubernetes.
package main

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"sync"

	authenticationv1 "k8s.io/api/authentication/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/authentication/authenticator"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/apiserver/pkg/registry/rest"
)

// issued knows the tokens since the start of the server; they do not expire.
type issued struct {
	lock  sync.Mutex
	users map[string]user.Info
}

var accounts = &issued{users: map[string]user.Info{}}

func (i *issued) AuthenticateToken(_ context.Context, token string) (*authenticator.Response, bool, error) {
	i.lock.Lock()
	defer i.lock.Unlock()
	known, ok := i.users[token]
	return &authenticator.Response{User: known}, ok, nil
}

// tokens is the subresource that issues them.
type tokens struct{}

func (tokens) New() runtime.Object { return &authenticationv1.TokenRequest{} }
func (tokens) Destroy()            {}
func (tokens) GroupVersionKind(schema.GroupVersion) schema.GroupVersionKind {
	return authenticationv1.SchemeGroupVersion.WithKind("TokenRequest")
}

func (tokens) Create(ctx context.Context, name string, obj runtime.Object, _ rest.ValidateObjectFunc, _ *metav1.CreateOptions) (runtime.Object, error) {
	data := make([]byte, 16)
	if _, err := rand.Read(data); err != nil {
		return nil, err
	}
	asked, namespace := obj.(*authenticationv1.TokenRequest), request.NamespaceValue(ctx)
	asked.Status.Token = hex.EncodeToString(data)
	accounts.lock.Lock()
	defer accounts.lock.Unlock()
	accounts.users[asked.Status.Token] = &user.DefaultInfo{
		Name:   "system:serviceaccount:" + namespace + ":" + name,
		Groups: []string{"system:serviceaccounts", "system:serviceaccounts:" + namespace},
	}
	return asked, nil
}
