import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { promisify } from 'node:util'
import { createTempDir } from './temp-dir.ts'

/** How a page is to be looked at. */
export interface ScreenshotOptions {
  /** The browser's program. */
  readonly chromium: string
  /** Where the picture goes, a PNG. */
  readonly to: string
  readonly dark?: boolean
  /** Width and height of the window, in CSS pixels. Default 1280 by 1600. */
  readonly size?: readonly [width: number, height: number]
}

const TIMEOUT_MS = 45_000

/** Takes a picture of a page in a file, as a browser without a network shows it. */
export async function screenshot(
  path: string,
  { chromium, to, dark = false, size: [width, height] = [1280, 1600] }: ScreenshotOptions,
): Promise<void> {
  await using profile = await createTempDir()
  const args = [
    '--headless=new',
    '--no-sandbox',
    '--disable-gpu',
    '--disable-dev-shm-usage',
    '--hide-scrollbars',
    '--no-first-run',
    '--force-device-scale-factor=1',
    `--user-data-dir=${join(profile.path, 'profile')}`,
    // Nothing but the file: a resource from elsewhere would stay empty.
    '--host-resolver-rules=MAP * ~NOTFOUND',
    `--blink-settings=preferredColorScheme=${dark ? 0 : 1}`,
    `--window-size=${width},${height}`,
    `--screenshot=${to}`,
    pathToFileURL(path).href,
  ]
  await promisify(execFile)(chromium, args, { timeout: TIMEOUT_MS, killSignal: 'SIGKILL' })
}
