/** The panels in the order of the screen, which is that of the keys 1 to 9 and 0, and of the tabulator. */
export const PANELS = [
  'map',
  'pools',
  'alarms',
  'plan',
  'consumers',
  'requests',
  'levels',
  'sessions',
  'interruptions',
  'health',
]

/**
 * @param {string} id
 * @returns {string} the key that goes to a panel
 */
export function shortcutOf(id) {
  return String((PANELS.indexOf(id) + 1) % 10)
}

/**
 * Lets digits go to the panels. A key with a modifier is the browser's.
 * @param {Document} document
 */
export function listenToKeys(document) {
  document.addEventListener('keydown', event => {
    if (event.ctrlKey || event.altKey || event.metaKey || document.querySelector('dialog[open]') !== null) return
    const id = PANELS.find(each => shortcutOf(each) === event.key)
    if (id === undefined) return
    document.getElementById(`${id}-name`)?.focus()
    event.preventDefault()
  })
}
