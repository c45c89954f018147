# OpenBao (or Vault) as a server: integrated storage, TLS, sealed until people unseal it.
ui = false
api_addr = "https://vault:8200"
cluster_addr = "https://vault:8201"

storage "raft" {
  path = "/openbao/file"
  node_id = "vault-1"
}

listener "tcp" {
  address = "0.0.0.0:8200"
  tls_cert_file = "/run/secrets/vault_certificate"
  tls_key_file = "/run/secrets/vault_key"
  tls_min_version = "tls13"
}
