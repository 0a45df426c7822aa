// What is wrong with the open page now that it is narrow: the page itself never scrolls sideways, only boxes on it do,
// and those can be reached from the keyboard.
const done = arguments[arguments.length - 1];

const content = document.getElementById('mdbook-content');
const mayScroll = 'pre > code, .table-wrapper, figure';
const fits = box => box.scrollWidth <= box.clientWidth;

function whatSticksOut() {
    if (fits(document.scrollingElement) && fits(content)) {
        return [];
    }
    const edge = content.getBoundingClientRect().right;
    const culprits = Array.from(content.querySelectorAll('main *')).filter(element =>
        element.getBoundingClientRect().right > edge && !element.parentElement.closest(mayScroll));
    return culprits.length ? culprits : [document.body];
}

function whatCannotBeReached() {
    const boxes = Array.from(document.querySelectorAll(mayScroll)).filter(box => box.checkVisibility());
    return boxes.filter(box => !fits(box) && box.tabIndex !== 0);
}

(async () => {
    // A phone opens a page with its sidebar closed.
    const sidebar = document.querySelector('button[aria-controls="mdbook-sidebar"]');
    sidebar.click();
    await Promise.allSettled(document.getAnimations().map(animation => animation.finished));
    // The page's own script sees its new width before the second frame.
    for (const _ of ['first', 'second']) {
        await new Promise(requestAnimationFrame);
    }

    const name = element => element.outerHTML.slice(0, 80);
    const complaints = [
        ...whatSticksOut().map(element => `the page scrolls sideways: ${name(element)}`),
        ...whatCannotBeReached().map(element => `what scrolls cannot be reached from the keyboard: ${name(element)}`),
    ];
    sidebar.click();
    done(complaints);
})().catch(error => done([String(error)]));
