/** How a connection takes its keys: RFC 8784 PPKs, the pre-shared key of IKE itself, or PPKs that a foreign gateway names. */
export type IpsecMode = 'ppk' | 'psk' | 'vendor'

/** Which end takes keys and initiates; fixed for each connection, the other end has the other. */
export type IpsecRole = 'initiator' | 'responder'

/** Everything about one site's agent. Paths are absolute once a file was loaded. */
export interface IpsecAgentConfig {
  /** Profile of the host (SAE) as which the agent gets keys: a JSON file as `qkd pki init` writes it. */
  readonly saeProfile: string
  /** Socket of charon's vici plugin. Default `/run/charon.vici`. */
  readonly viciSocket: string
  /** Where the agents of peers connect; every agent listens. */
  readonly listen: IpsecAgentAddress
  /** What must survive the agent: numbers and key_IDs, never a key. Default `/var/lib/qkdkit/ipsec`. */
  readonly stateDir: string
  /** Where the updown hook leaves its files. Default `/run/qkdkit/updown`. */
  readonly spoolDir: string
  /** Where `qkd ipsec status` and its like reach the agent. Default `/run/qkdkit/ipsec.sock`. */
  readonly controlSocket: string
  /** Program that is told of each up and down, with key_ID; undefined for none. */
  readonly onUpdown?: string
  /** How often charon is compared with what it should have, and traffic counted, in seconds. Default 5. */
  readonly reconcileSeconds: number
  /** Hosts with an agent of their own, or foreign gateways that take keys from a KME. */
  readonly peers: readonly IpsecPeerConfig[]
  readonly connections: readonly IpsecConnectionConfig[]
}

/** A TCP endpoint of an agent. */
export interface IpsecAgentAddress {
  /** Name or address. */
  readonly host: string
  readonly port: number
}

/** The host at the other end of connections. */
export interface IpsecPeerConfig {
  /** The SAE with which keys are shared. */
  readonly saeId: string
  /** Where its agent listens; needed where this end is the initiator. */
  readonly agent?: IpsecAgentAddress
}

/** One end of an IKE connection. */
export interface IpsecEndConfig {
  /** IKE identity, as in swanctl.conf. */
  readonly id: string
  /** Addresses or names, as in swanctl.conf. */
  readonly addresses: readonly string[]
}

/** One IKE connection between this gateway and another. */
export interface IpsecConnectionConfig {
  /** The same at both ends; also its name in charon. */
  readonly name: string
  /** SAE ID of one of the peers. */
  readonly peer: string
  readonly mode: IpsecMode
  /** `vendor` connections respond. */
  readonly role: IpsecRole
  readonly local: IpsecEndConfig
  readonly remote: IpsecEndConfig
  /** How the gateways authenticate besides the PPK. `psk` connections have no other. Default `psk`. */
  readonly auth: 'psk' | 'pubkey'
  /** With `auth` `psk`: file with the static secret, its bytes as they are but for one line end. Without it, swanctl's secrets serve. */
  readonly secretFile?: string
  /** IKE proposals. Default AES-256-GCM with X25519. */
  readonly proposals: readonly string[]
  readonly children: readonly IpsecChildConfig[]
  /** When a new key is due; at the initiator. */
  readonly rotation: IpsecRotationConfig
  /** Takes the connection down when its key is older than this, in seconds. Default: it stays up on its old key. */
  readonly hardExpirySeconds?: number
  /** Further settings of the connection as in swanctl.conf, such as `dpd_delay`. */
  readonly settings: IpsecSettings
}

/** Settings by their names in swanctl.conf; lists are lists. */
export type IpsecSettings = Readonly<Record<string, string | readonly string[]>>

/** One CHILD_SA: what is carried. */
export interface IpsecChildConfig {
  readonly name: string
  /** Local traffic selectors. */
  readonly localTs: readonly string[]
  /** Remote traffic selectors. */
  readonly remoteTs: readonly string[]
  /** ESP proposals. Default AES-256-GCM with X25519. */
  readonly espProposals: readonly string[]
  /** Further settings of the child as in swanctl.conf, such as `updown`. */
  readonly settings: IpsecSettings
}

/** Whatever comes first makes a new key due. */
export interface IpsecRotationConfig {
  /** Age of the key, in seconds. Default 3,600. */
  readonly everySeconds: number
  /** Bytes carried under the key, both directions of all children together. Default: not counted. */
  readonly bytes?: number
  /** Packets carried under the key, likewise. Default: not counted. */
  readonly packets?: number
}
