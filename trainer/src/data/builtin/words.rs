//! What stories are made of.

pub const GIRLS: &[&str] = &[
    "Lily", "Mia", "Anna", "Sue", "Lucy", "Emma", "Zoe", "Rosie", "Ella", "Nora", "Ivy", "Ruby", "Clara", "Daisy",
    "Maya", "Jane", "Amy", "Kate", "Molly", "Sara", "Eva", "Tina", "Alice", "Grace", "Hannah", "Nina", "Poppy",
    "Sophie", "Bella", "Leah", "Wendy", "Olive", "June", "Penny", "Tess", "Rita", "Flora", "Holly", "Iris", "Meg",
];

pub const BOYS: &[&str] = &[
    "Tim", "Ben", "Tom", "Max", "Sam", "Jack", "Leo", "Finn", "Noah", "Oscar", "Peter", "Dan", "Joe", "Nick", "Adam",
    "Luke", "Henry", "Theo", "Eli", "Hugo", "Charlie", "Toby", "George", "Will", "Ravi", "Omar", "Felix", "Jim",
    "Billy", "Mark", "Alex", "Owen", "Ned", "Kai", "Paul", "Rob", "Simon", "Ted", "Bobby", "Arlo",
];

/// Animals that talk, with names that suit them.
pub const ANIMALS: &[(&str, &[&str])] = &[
    ("rabbit", &["Hoppy", "Clover", "Thumper", "Bun"]),
    ("bear", &["Bruno", "Honey", "Barney", "Bramble"]),
    ("mouse", &["Pip", "Squeak", "Nibbles", "Minnie"]),
    ("fox", &["Rusty", "Ginger", "Fern", "Scout"]),
    ("owl", &["Hoot", "Olga", "Ollie", "Hazel"]),
    ("duck", &["Waddles", "Puddle", "Dilly", "Quackers"]),
    ("frog", &["Freddy", "Lilypad", "Croaky", "Jumper"]),
    ("squirrel", &["Nutty", "Acorn", "Skip", "Chestnut"]),
    ("cat", &["Whiskers", "Mittens", "Tiger", "Smokey"]),
    ("dog", &["Spot", "Biscuit", "Buddy", "Patch"]),
    ("turtle", &["Shelly", "Sheldon", "Pebbles", "Moss"]),
    ("elephant", &["Ellie", "Peanut", "Trumpet", "Jumbo"]),
    ("hedgehog", &["Prickles", "Thistle", "Spike", "Conker"]),
    ("penguin", &["Pogo", "Flipper", "Pebble", "Snowy"]),
];

pub const TRAITS: &[&str] = &[
    "kind",
    "brave",
    "shy",
    "curious",
    "happy",
    "clever",
    "quiet",
    "cheerful",
    "busy",
    "gentle",
    "playful",
    "funny",
    "careful",
    "friendly",
    "silly",
    "honest",
    "eager",
    "polite",
    "lively",
    "thoughtful",
];

pub const COLOURS: &[&str] = &[
    "red", "blue", "green", "yellow", "orange", "purple", "pink", "white", "black", "brown", "golden", "silver",
    "shiny", "tiny", "big", "old", "new", "soft", "striped", "pretty",
];

pub const TOYS: &[&str] = &[
    "ball",
    "kite",
    "doll",
    "toy car",
    "toy boat",
    "toy train",
    "drum",
    "puzzle",
    "top",
    "teddy bear",
    "yo-yo",
    "toy plane",
    "robot",
    "hoop",
    "scooter",
    "toy truck",
    "whistle",
    "puppet",
    "wagon",
    "toy horse",
];

pub const TREASURES: &[&str] = &[
    "hat", "ring", "scarf", "key", "book", "shell", "bell", "button", "mitten", "umbrella", "necklace", "cup",
    "basket", "feather", "marble", "stone", "ribbon", "box", "apron", "lantern",
];

/// Things that break when they fall.
pub const FRAGILE: &[&str] =
    &["cup", "vase", "plate", "lamp", "bowl", "clock", "jar", "mirror", "toy boat", "toy plane", "music box", "teapot"];

/// A place: its name, how one is there, whether it is outdoors, and spots where things hide.
#[derive(Clone, Copy, Debug)]
pub struct Scene {
    pub name: &'static str,
    pub at: &'static str,
    pub outdoors: bool,
    pub spots: &'static [&'static str],
}

const fn scene(name: &'static str, at: &'static str, outdoors: bool, spots: &'static [&'static str]) -> Scene {
    Scene { name, at, outdoors, spots }
}

pub const SCENES: &[Scene] = &[
    scene("the park", "at", true, &["under a bench", "behind a tree", "near the swings", "in the tall grass"]),
    scene("the beach", "at", true, &["under a rock", "in the sand", "behind a boat", "near the water"]),
    scene("the forest", "in", true, &["under a bush", "behind a log", "in a pile of leaves", "between two roots"]),
    scene(
        "the garden",
        "in",
        true,
        &["under a flower pot", "behind the roses", "near the fence", "in the wheelbarrow"],
    ),
    scene("the farm", "on", true, &["in the hay", "behind the barn", "under a bucket", "near the gate"]),
    scene("the meadow", "in", true, &["in the clover", "under a daisy", "behind a hill", "beside the stream"]),
    scene("the pond", "at", true, &["in the reeds", "under a lily pad", "beside a log", "on a flat stone"]),
    scene("the hill", "on", true, &["under a bush", "behind a stone", "in the long grass", "beside the path"]),
    scene("the school", "at", false, &["under a desk", "behind the door", "on a shelf", "in a box of chalk"]),
    scene("the library", "in", false, &["between two books", "under a chair", "behind a shelf", "on a window sill"]),
    scene("the market", "at", true, &["under a cart", "behind a basket", "near the apples", "beside the fountain"]),
    scene("the playground", "at", true, &["under the slide", "in the sand box", "near the swings", "behind the wall"]),
    scene("the barn", "in", false, &["in the hay", "behind a barrel", "under a blanket", "on a beam"]),
    scene("the river", "at", true, &["under a stone", "beside a log", "in the mud", "behind a bush"]),
];

/// A character's home and where things hide in it.
pub const HOMES: &[Scene] = &[
    scene("the house", "in", false, &["under the bed", "behind the couch", "in a drawer", "under the table"]),
    scene("the kitchen", "in", false, &["under the table", "behind the stove", "on a shelf", "in a pot"]),
    scene(
        "the living room",
        "in",
        false,
        &["under a pillow", "behind the couch", "under the rug", "behind the curtain"],
    ),
];

/// Animals that need help: noun, what is wrong, where it happened, what helps, how that is done.
pub const TROUBLES: &[[&str; 4]] = &[
    ["bird", "had hurt its wing", "a soft cloth", "wrapped the wing in the cloth"],
    ["kitten", "was stuck in a tree", "a long ladder", "climbed up slowly and carried it down"],
    ["puppy", "was lost and wet", "a warm towel", "dried its fur with the towel"],
    ["lamb", "was caught in a fence", "a strong stick", "pushed the wire apart with the stick"],
    ["duckling", "could not find its mother", "a piece of bread", "led it back to the water with crumbs"],
    ["butterfly", "was trapped in a jar", "a steady hand", "opened the lid and let it fly"],
    ["turtle", "was lying on its back", "a flat board", "turned it over with the board"],
    ["fish", "was stuck in a small puddle", "a bucket of water", "carried it back to the deep water"],
    ["squirrel", "was hungry and cold", "a bag of nuts", "put the nuts in a little pile beside it"],
    ["bee", "was too tired to fly", "a drop of honey", "put the honey on a leaf in front of it"],
    ["pony", "had a stone in its hoof", "a small brush", "brushed the stone out of its hoof"],
    ["hedgehog", "was tangled in a net", "a pair of scissors", "cut the net very gently"],
];

/// Food to make: dish, the ingredient that matters, how it is without it, how it should be.
pub const DISHES: &[[&str; 4]] = &[
    ["cake", "sugar", "not sweet at all", "sweet and soft"],
    ["loaf of bread", "yeast", "flat and hard", "tall and warm"],
    ["pot of soup", "salt", "as plain as water", "warm and tasty"],
    ["apple pie", "apples", "empty inside", "full of sweet apples"],
    ["plate of cookies", "butter", "dry like sand", "crisp and golden"],
    ["stack of pancakes", "eggs", "thin and broken", "round and fluffy"],
    ["pizza", "cheese", "dry and sad", "hot and cheesy"],
    ["fruit salad", "berries", "a little dull", "bright and juicy"],
];

/// Things to build: thing, parts, what went wrong, what made it right.
pub const BUILDS: &[[&str; 4]] = &[
    ["tower", "blocks", "leaned to one side and fell down", "put the big blocks at the bottom"],
    ["fort", "pillows and blankets", "fell in on itself", "held the roof up with two chairs"],
    ["birdhouse", "wood and nails", "had a door too small for a bird", "made a bigger door"],
    ["sand castle", "sand and shells", "was too dry and slid apart", "mixed the sand with water"],
    ["raft", "sticks and string", "came apart in the water", "tied every knot two times"],
    ["snowman", "snow and a carrot", "lost its head", "made a wide, flat neck"],
    ["bridge", "stones and a plank", "wobbled and tipped over", "put a heavy stone at each end"],
    ["kite", "paper and string", "would not fly", "gave it a long tail"],
    ["tree house", "boards and rope", "shook in the wind", "tied it to two strong branches"],
];

/// Plans the weather spoils: plan, weather, what they did instead, what they packed.
pub const PLANS: &[[&str; 4]] = &[
    ["have a picnic", "it began to rain", "spread the blanket on the floor and had the picnic inside", "sandwiches"],
    ["fly a kite", "the wind stopped blowing", "painted the kite with bright stars", "string"],
    ["go swimming", "dark clouds came and thunder rolled", "filled the bath and sailed paper boats in it", "towels"],
    ["plant seeds", "a cold storm came", "planted the seeds in cups on the window sill", "seeds"],
    ["play ball", "the snow fell thick and fast", "built a round, white snow bear", "a ball"],
    ["ride bikes", "the road was covered with ice", "drew a map of all the roads they would ride in spring", "helmets"],
    ["look at the stars", "thick fog covered the sky", "cut stars out of paper and hung them over the bed", "a lamp"],
    ["pick berries", "heavy rain made the path muddy", "made berry jam from the jar in the kitchen", "baskets"],
];

/// Fears: what, why it seemed bad, what it really was or what helped.
pub const FEARS: &[[&str; 3]] = &[
    ["the dark", "there were strange shapes on the wall", "the shapes were only coats on a hook"],
    ["the tall slide", "the ground looked so far away", "the ride down was fast and soft"],
    ["the deep water", "nobody could see the bottom", "the water held everyone up who kicked"],
    ["thunder", "it was so loud that the windows shook", "thunder was only a big noise that could not touch anyone"],
    ["the big dog next door", "it had such a loud bark", "the dog only barked because it wanted to play"],
    ["singing in front of people", "everyone would be looking", "the people smiled and clapped along"],
    ["the old bridge", "it creaked with every step", "the boards were thick and strong"],
    ["the first day of school", "every face was new", "the other children felt just the same"],
    ["the doctor", "the room smelled strange", "the doctor was gentle and it was over very soon"],
    ["the cave", "something inside said hello back", "the voice was only an echo"],
];

/// Rules: the sign, what to do, what happens otherwise.
pub const RULES: &[[&str; 3]] = &[
    ["the light is red", "stop", "nearly bumped into a cart"],
    ["the bell rings", "come inside", "missed the warm soup"],
    ["the flag is up", "stay out of the water", "was pushed over by a big wave"],
    ["the floor is wet", "walk slowly", "slipped and sat down with a bump"],
    ["the dog is eating", "leave it alone", "made the dog growl"],
    ["the pot is hot", "use a thick glove", "got a sore finger"],
    ["the sky is dark", "take an umbrella", "came home wet to the skin"],
    ["the gate is open", "close it", "had to chase three chickens down the road"],
    ["the baby is asleep", "whisper", "woke the baby, and the baby cried"],
    ["the berries are green", "wait", "had a sore tummy all evening"],
];

/// Things to count: one, many.
pub const COUNTED: &[[&str; 2]] = &[
    ["apple", "apples"],
    ["egg", "eggs"],
    ["shell", "shells"],
    ["cookie", "cookies"],
    ["flower", "flowers"],
    ["berry", "berries"],
    ["leaf", "leaves"],
    ["stone", "stones"],
    ["nut", "nuts"],
    ["peach", "peaches"],
    ["feather", "feathers"],
    ["carrot", "carrots"],
    ["button", "buttons"],
    ["cherry", "cherries"],
];

pub const NUMBERS: &[&str] =
    &["no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"];

/// Skills that need practice: infinitive, first failure, sign of success.
pub const SKILLS: &[[&str; 3]] = &[
    ["ride a bike", "fell over into the grass", "rode all the way around the tree"],
    ["whistle", "only blew air", "made a clear, bright sound"],
    ["tie a bow", "made a big knot", "made two neat loops"],
    ["swim", "swallowed a mouthful of water", "swam from one side to the other"],
    ["skip rope", "got both feet tangled", "jumped ten times in a row"],
    ["write a name", "wrote the letters back to front", "wrote every letter in its place"],
    ["play the flute", "made a squeak like a mouse", "played a whole song"],
    ["catch a ball", "dropped it every time", "caught it with both hands"],
    ["climb the tree", "slid right back down", "sat on the lowest branch"],
    ["draw a horse", "drew something like a table", "drew a horse with a long mane"],
];
