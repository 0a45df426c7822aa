// What is wrong with the open page in each of mdBook's themes: what axe calls serious or critical, and words in
// pictures that are too faint, which axe does not look at.
const done = arguments[arguments.length - 1];

// WCAG 2.2, 1.4.3: what text needs at least.
const LEAST_CONTRAST = 4.5;

const canvas = new OffscreenCanvas(1, 1).getContext('2d', { willReadFrequently: true });

// The colour that these layers, each with a `fill` and an `opacity`, give one on top of the other.
function blend(layers) {
    for (const { fill, opacity } of layers) {
        canvas.fillStyle = fill;
        canvas.globalAlpha = opacity;
        canvas.fillRect(0, 0, 1, 1);
    }
    return canvas.getImageData(0, 0, 1, 1).data.slice(0, 3);
}

// WCAG 2.2, relative luminance.
function luminance(colour) {
    const [red, green, blue] = Array.from(colour, part => {
        const share = part / 255;
        return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
}

function contrast(one, other) {
    const [darker, lighter] = [luminance(one), luminance(other)].sort((a, b) => a - b);
    return (lighter + 0.05) / (darker + 0.05);
}

// Each piece of text in a picture, with the shapes that lie under its middle, the lowest first.
function wordsInPictures() {
    return Array.from(document.querySelectorAll('figure > svg text'), text => {
        text.scrollIntoView({ block: 'center', inline: 'center', behavior: 'instant' });
        const box = text.getBoundingClientRect();
        const stack = document.elementsFromPoint(box.x + box.width / 2, box.y + box.height / 2);
        const under = stack.slice(stack.indexOf(text) + 1).filter(element => element instanceof SVGGeometryElement);
        return { text, under: under.reverse() };
    });
}

function layer(element) {
    const style = getComputedStyle(element);
    return { fill: style.fill === 'none' ? 'transparent' : style.fill, opacity: style.opacity * style.fillOpacity };
}

function faintWords(words) {
    const page = { fill: getComputedStyle(document.documentElement).backgroundColor, opacity: 1 };
    return words.flatMap(({ text, under }) => {
        const ground = [page, ...under.map(layer)];
        const ratio = contrast(blend(ground), blend([...ground, layer(text)]));
        const complaint = `"${text.textContent.trim()}" in a picture has a contrast of ${ratio.toFixed(2)}`;
        return ratio < LEAST_CONTRAST ? [complaint] : [];
    });
}

// Code is thousands of words in a few colours, and axe looks at each. Keeps one word of each colour.
function thinOutCode() {
    const seen = new Set();
    const words = Array.from(document.querySelectorAll('pre > code span'));
    // From the end, so that a word with others in it comes after them.
    for (const word of words.reverse().filter(word => !word.firstElementChild)) {
        const colour = `${word.closest('code').className} > ${word.parentElement.className} > ${word.className}`;
        if (seen.has(colour)) {
            word.remove();
        }
        seen.add(colour);
    }
}

async function violations(rules) {
    const { violations } = await axe.run({ ...rules, resultTypes: ['violations'] });
    const grave = violations.filter(({ impact }) => impact === 'serious' || impact === 'critical');
    const why = node => node.failureSummary.split('\n').slice(1).join(';').trim();
    return grave.flatMap(({ id, nodes }) => nodes.map(node => `${id}: ${node.target.join(' ')}: ${why(node)}`));
}

(async () => {
    const complaints = [];
    const words = wordsInPictures();
    thinOutCode();
    // What is no matter of colour is the same in every theme.
    const colours = { runOnly: ['color-contrast', 'link-in-text-block'] };
    const themes = { light: {}, rust: colours, coal: colours, navy: colours, ayu: colours };
    for (const [theme, rules] of Object.entries(themes)) {
        document.getElementById(`mdbook-theme-${theme}`).click();
        const found = [...faintWords(words), ...await violations(rules)];
        complaints.push(...found.map(complaint => `in ${theme}, ${complaint}`));
    }
    done(complaints);
})().catch(error => done([String(error)]));
