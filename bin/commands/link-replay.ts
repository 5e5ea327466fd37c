import {
  feedRecording,
  listRecording,
  RECORDED_FORMATS,
  REPLAY_BLOCK_BYTES,
  readRecordedKeys,
  readSpentMark,
} from '../../lib/index.ts'
import { defineCommand } from '../command.ts'
import { printJson, printLines } from '../terminal.ts'

/** `qkd link replay`: recorded key of a device, for links of kind `replay`. */
export const replayCommand = defineCommand({
  command: 'replay [files..]',
  repeatable: ['files'],
  describe: 'Feed recorded key of a device to one end of a link of kind "replay"; without files, say what is left',
  builder: yargs =>
    yargs
      .positional('files', {
        type: 'string',
        array: true,
        default: [],
        describe: 'Recorded key, in order; the same files in the same order at both ends',
      })
      .option('into', {
        type: 'string',
        demandOption: true,
        requiresArg: true,
        describe: 'This end\'s copy of the recording: the link\'s "directory"',
      })
      .option('format', {
        choices: RECORDED_FORMATS,
        describe: 'How the files are written [default: by their names: .hex, .b64, .json (ETSI 014), else raw]',
      })
      .example('$0 link replay monday.bin tuesday.bin --into recording-a', 'at site A; the same two files at site B')
      .example('$0 link replay --into recording-a', 'what is left of it'),
  handler: async ({ files, into, format, json }) => {
    const fed = []
    for (const path of files) {
      const keys = await readRecordedKeys(path, format)
      try {
        fed.push({ path, ...(await feedRecording(into, keys)) })
      } finally {
        for (const key of keys) key.wipe()
      }
    }
    const left = await whatIsLeft(into)
    if (json) return await printJson({ fed, ...left })
    await printLines(
      ...fed.map(({ path, file, blocks, restBytes }) => {
        const where = file === undefined ? 'no whole block yet' : `${blocks} blocks in ${file}`
        return `${path}: ${where}, ${restBytes} bytes wait for more`
      }),
      `${into}: ${left.blocks} blocks (${(left.blocks * REPLAY_BLOCK_BYTES).toLocaleString('en')} bytes) are left`,
    )
  },
})

async function whatIsLeft(directory: string) {
  const files = await listRecording(directory)
  const mark = await readSpentMark(directory)
  const spent = mark?.number ?? 0n
  let blocks = 0
  for (const { number, blocks: all } of files) {
    const first = BigInt(number) << 24n
    const used = spent < first ? 0 : Number(spent - first) + 1
    blocks += Math.max(0, all - used)
  }
  return { blocks, files: files.length, spent: mark === undefined ? undefined : String(mark.number) }
}
