// What the open page has loaded: how many bytes, the page itself included, and what of it came from elsewhere.
const done = arguments[arguments.length - 1];

document.fonts.ready.then(() => {
    const loaded = [...performance.getEntriesByType('navigation'), ...performance.getEntriesByType('resource')];
    done({
        // Of what is in the browser's cache, too: a reader comes without.
        weight: loaded.reduce((sum, entry) => sum + entry.encodedBodySize, 0),
        foreign: loaded.map(entry => entry.name).filter(url => !url.startsWith(location.origin)),
    });
});
