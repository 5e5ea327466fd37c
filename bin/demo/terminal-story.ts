import { type DemoLink, describeDemoLink } from './demo-links.ts'
import { LINK_ID, SITES } from './demo-sites.ts'
import { ProgressBar } from './progress-bar.ts'
import type { DemoReport, Narrator } from './run-demo.ts'

const BOLD = '\x1b[1m'
const DIM = '\x1b[2m'
const GREEN = '\x1b[32m'
const RED = '\x1b[31m'
const RESET = '\x1b[0m'

/** Tells the demonstration to a person, step by step. Colours only on a terminal that has them; NO_COLOR is respected. */
export function terminalStory(stream: NodeJS.WriteStream): Narrator {
  const coloured = stream.isTTY === true && stream.hasColors()
  const paint = (colour: string, text: string) => (coloured ? `${colour}${text}${RESET}` : text)
  const say = (...lines: readonly string[]) => stream.write(`${lines.join('\n')}\n`)
  const row = (name: string, value: string) => say(`   ${name.padEnd(15)}${value}`)
  const bar = new ProgressBar('   pool', stream)
  let steps = 0
  let filling = false
  let demoLink: DemoLink | undefined
  const step = (title: string) => {
    steps += 1
    say('', paint(BOLD, `${steps}. ${title}`))
  }

  return {
    begin: ({ path, sizeBytes }, link) => {
      demoLink = link
      say(paint(BOLD, 'Two sites share keys from quantum key distribution; Alice sends Bob a file under one of them'))
      row('file', `${path} (${count(sizeBytes)} bytes)`)
    },
    sitesOpen: ({ a, b }) => {
      step('Two sites, each with a KMS of its own')
      row(SITES.a.siteId, `KME ${SITES.a.kmeId}, ETSI 014 at ${a.address.etsi014.url}, host ${SITES.a.saeId}`)
      row(SITES.b.siteId, `KME ${SITES.b.kmeId}, ETSI 014 at ${b.address.etsi014.url}, host ${SITES.b.saeId}`)
      const [what, warning] = describeDemoLink(demoLink!)
      row(`link ${LINK_ID}`, what)
      row('', warning)
      step('The link fills the pool, the same key at both sites')
    },
    poolFilling: (cells, wanted) => {
      filling = true
      bar.update(cells, wanted)
    },
    poolFilled: (cells, ms) => {
      filling = false
      bar.end(`${count(cells)} cells of 32 bytes to issue, in ${seconds(ms)}`)
      step('Alice connects to Bob: TLS 1.3, and each end takes the key from its own KMS')
    },
    keyEvent: event => {
      if (event.type === 'key-issued') row(SITES.a.kmeId, `gave ${event.masterSaeId} a key for ${event.slaveSaeId}`)
      else row(SITES.b.kmeId, `gave ${event.slaveSaeId} the same key, by the key_ID that he read in the ClientHello`)
    },
    transferred: ({ session, sentSha256, receivedSha256, receivedBytes }) => {
      row('key_ID', session.keyId)
      row('key', `256 bits, level ${session.level ?? 'not told'}`)
      row('cipher', session.cipher)
      row('group', `${session.group ?? 'not told'}, mixed in with the key`)
      step('The file at both ends')
      row('Alice sent', `SHA-256 ${sentSha256}`)
      row('Bob received', `SHA-256 ${receivedSha256} (${count(receivedBytes)} bytes)`)
    },
    end: report => {
      step('What an eavesdropper between Alice and Bob got')
      tellWire(report, row)
      step('Bob asks for the same key again')
      const refusal = report.secondRetrieval
      row(SITES.b.kmeId, refusal === undefined ? 'gave it out a second time' : `refuses: ${refusal}; each key once`)
      const failure = demoFailure(report)
      const verdict = failure === undefined ? paint(GREEN, 'Done') : paint(RED, `Failed: ${failure}`)
      say(
        '',
        `${verdict} ${paint(DIM, `in ${seconds(report.durationMs)}; both sites are closed, nothing is left behind`)}`,
      )
    },
    stopped: () => {
      if (filling) bar.break()
    },
  }
}

/** Tells nothing: the report says it all. */
export const silence: Narrator = {
  begin: () => {},
  sitesOpen: () => {},
  poolFilling: () => {},
  poolFilled: () => {},
  keyEvent: () => {},
  transferred: () => {},
  end: () => {},
  stopped: () => {},
}

/** Why the demonstration did not come out; undefined where all is as it should be. */
export function demoFailure({ file, transfer, secondRetrieval }: DemoReport): string | undefined {
  if (!file.identical) return 'the file arrived changed'
  if (!transfer.wire.sawKeyId) return 'the key_ID was not seen on the wire, so something else named the key'
  if (transfer.wire.sawFile === true) return 'the file was seen on the wire'
  if (secondRetrieval !== 'ERR_QKD_KEY_NOT_FOUND') return 'the KMS did not refuse to deliver a key twice'
  return undefined
}

function tellWire({ transfer: { wire, pskIdentity } }: DemoReport, row: (name: string, value: string) => void): void {
  row('travelled', `${count(wire.byteCount)} bytes, with the name of the key in clear: ${pskIdentity}`)
  if (wire.sawFile !== undefined)
    row('the file', wire.sawFile ? 'in clear' : 'only encrypted; its first bytes were not seen')
  row('never', 'the key: each host had it from the KMS of its own site, over mutual TLS')
}

function count(value: number): string {
  return value.toLocaleString('en')
}

function seconds(ms: number): string {
  return `${(ms / 1000).toFixed(1)} s`
}
