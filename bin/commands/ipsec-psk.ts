import { loadPsk } from '../../integrations/strongswan/index.ts'
import { keyFingerprint } from '../../lib/index.ts'
import { defineCommand } from '../command.ts'
import { withKmeOptions, withKms } from '../kme-connection.ts'
import { printJson, printLines } from '../terminal.ts'
import { agree, untilStopped } from './key-agree.ts'

/** `qkd ipsec psk`: a pre-shared key of IKE, once, without an agent. */
export const ipsecPskCommand = defineCommand({
  command: 'psk',
  describe: 'Agree on a pre-shared key with another gateway that runs the same command, and give it to charon, once',
  builder: yargs =>
    withKmeOptions(yargs)
      .option('peer', { type: 'string', demandOption: true, requiresArg: true, describe: 'SAE ID of the other host' })
      .option('listen', { type: 'string', requiresArg: true, describe: 'Wait for the other host at host:port' })
      .option('connect', { type: 'string', requiresArg: true, describe: 'Begin with the other host at host:port' })
      .option('local-id', {
        type: 'string',
        demandOption: true,
        requiresArg: true,
        describe: 'IKE identity of this gateway, as in local.id of swanctl.conf',
      })
      .option('remote-id', {
        type: 'string',
        demandOption: true,
        requiresArg: true,
        describe: 'IKE identity of the other gateway',
      })
      .option('vici-socket', {
        type: 'string',
        default: '/run/charon.vici',
        requiresArg: true,
        describe: "charon's socket",
      })
      .example(
        '$0 ipsec psk --peer alice --listen 0.0.0.0:7101 --local-id b --remote-id a --config bob.json',
        'at one gateway',
      )
      .example(
        '$0 ipsec psk --peer bob --connect b.example:7101 --local-id a --remote-id b --config alice.json',
        'at the other; then swanctl --rekey --ike NAME --reauth',
      ),
  handler: args =>
    withKms(args, kms =>
      untilStopped(async signal => {
        const { localId, remoteId, viciSocket, json } = args
        // In an order that is the same at both ends, so that a mistaken identity is found and not a failed authentication.
        const purpose = `ipsec psk ${[localId, remoteId].sort().map(encodeURIComponent).join(' ')}`
        const key = await agree(kms, { ...args, purpose, signal })
        using _ = key.secret
        const fingerprint = keyFingerprint(key)
        const id = await loadPsk({ viciSocket, localId, remoteId, secret: key.secret, signal })
        const { keyId } = key
        if (json) await printJson({ loaded: id, keyId, fingerprint })
        else await printLines(`loaded       ${id}`, `key_ID       ${keyId}`, `fingerprint  ${fingerprint}`)
      }),
    ),
})
