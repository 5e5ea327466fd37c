import { spawn } from 'node:child_process'
import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { expect } from 'chai'
import { peerProgram } from './helpers/peer-program.ts'
import { top } from './structure/tree.ts'

/** What each example prints, in order. An example without an entry fails. */
const outputs: Readonly<Record<string, readonly RegExp[]>> = {
  'fastify.ts': [/^\{"ordered":\{"item":"tea"\},"by":"alice"\}$/m, /^\{"ordered":\{"item":"cups"\},"by":"alice"\}$/m],
  'generate-network.ts': [/^ {2}"nodes": \[$/m, /^ {2}"links": \[$/m, /^ {2}"demands": \[$/m],
  'https.ts': [/^Hello, alice$/m],
  'mqtt-tunnel.ts': [/^opened at noon$/m, /^2 connections, \d+ bytes in and \d+ out, each under a key of its own$/m],
  'network-relay.ts': [
    /^Alice and Bob have the same key: true, trust class relayed$/m,
    /^The controller sees 3 sites and a-relay up, b-relay up$/m,
  ],
  'same-key.ts': [
    /^Alice has \[SecretKey 256 bits\] and tells Bob [0-9a-f-]{36}$/m,
    /^Bob has the same: true$/m,
    /^A second time: ERR_QKD_KEY_NOT_FOUND$/m,
  ],
  'send-file-one-time-pad.ts': [
    /^README\.md: \d+ bytes sent, the same arrived: true$/m,
    /^Consumed: \d+ keys, \d+ bits$/m,
    /^A film of 10 MB: refused, nothing was sent\. It takes 10000032 bytes of key, and there are \d+$/m,
    /^Consumed: 0 keys, 0 bits$/m,
  ],
  'send-file.ts': [/^\d+ bytes arrived under the key [0-9a-f-]{36}$/m, /^The same file: true$/m],
  'tls-echo.ts': [/masterSaeId: 'alice'/, /slaveSaeId: 'bob'/, /level: 'quantum'/, /^Hello, Bob$/m],
}

/** What an example runs besides Node, and the Debian package that has it. */
const programs: Readonly<Record<string, readonly (readonly [string, string])[]>> = {
  'mqtt-tunnel.ts': [
    ['mosquitto', 'mosquitto'],
    ['mosquitto_pub', 'mosquitto-clients'],
  ],
}

describe('examples', () => {
  const files = readdirSync(join(top, 'examples')).filter(name => name.endsWith('.ts'))

  for (const file of files) {
    it(`${file} runs alone and prints what it shows`, async function () {
      for (const [program, debianPackage] of programs[file] ?? []) peerProgram(this, program, debianPackage)
      const child = spawn(process.execPath, ['--import', 'tsx', join('examples', file)], {
        cwd: top,
        stdio: ['ignore', 'pipe', 'pipe'],
        timeout: 15_000,
      })
      const exit = new Promise(resolve => child.once('exit', (code, signal) => resolve(code ?? signal)))
      const [stdout, stderr, status] = await Promise.all([text(child.stdout), text(child.stderr), exit])
      expect({ status, stderr }).to.deep.equal({ status: 0, stderr: '' })
      const expected = outputs[file]
      expect(expected, `say here what examples/${file} prints`).to.not.equal(undefined)
      let at = 0
      for (const line of expected!) {
        const match = line.exec(stdout.slice(at))
        expect(match, `${line} in ${stdout}`).to.not.equal(null)
        at += match!.index + match![0].length
      }
    })
  }
})
